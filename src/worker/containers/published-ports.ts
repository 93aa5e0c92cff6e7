import type { Container } from './container.ts';
import { expandPorts, withProtocol } from './start/sandbox-request-of.ts';

/** One line of the PORTS column. */
export interface PortSummary {
  readonly IP?: string;
  readonly PrivatePort: number;
  readonly PublicPort?: number;
  readonly Type: string;
}

/** Published ports, and exposed ones that are not; of a container that runs. */
export function portSummaries({ running, sandbox, record }: Container): PortSummary[] {
  if (!running) return [];
  const published = (sandbox?.ports ?? []).map((port) => ({
    IP: port.hostIp || '0.0.0.0',
    PrivatePort: port.containerPort,
    PublicPort: port.hostPort,
    Type: port.protocol,
  }));
  const taken = new Set(published.map((port) => `${port.PrivatePort}/${port.Type}`));
  const exposed = Object.keys(record.config.ExposedPorts ?? {})
    .flatMap(expandPorts)
    .filter((port) => !taken.has(port))
    .map((port) => ({ PrivatePort: Number.parseInt(port, 10), Type: port.split('/')[1]! }));
  return [...published, ...exposed];
}

/** `NetworkSettings.Ports` of inspect: null for what is exposed and not published. */
export function portMap({
  running,
  sandbox,
  record,
}: Container): Record<string, { HostIp: string; HostPort: string }[] | null> {
  const map: Record<string, { HostIp: string; HostPort: string }[] | null> = {};
  if (!running) return map;
  for (const port of Object.keys(record.config.ExposedPorts ?? {}).flatMap(expandPorts)) map[port] = null;
  for (const port of sandbox?.ports ?? []) {
    const key = withProtocol(`${port.containerPort}/${port.protocol}`);
    map[key] = [...(map[key] ?? []), { HostIp: port.hostIp || '0.0.0.0', HostPort: String(port.hostPort) }];
  }
  return map;
}
