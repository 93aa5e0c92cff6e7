import { isIP } from 'node:net';
import { DockerfileError } from '../../dockerfile/dockerfile-error.ts';
import { goQuote } from '../../dockerfile/go-quote.ts';

const PROTOCOLS: readonly string[] = ['tcp', 'udp', 'sctp'];
const MAX_PORT = 65_535;

export interface PortSpec {
  /** `port/protocol`, one for each of a range. */
  readonly ports: readonly string[];
  /** As written. */
  readonly protocol: string;
  /** Parts before the container's port were written: they mean nothing here. */
  readonly publishes: boolean;
}

/** `[ip:][host:]port[-port][/protocol]`. Throws `DockerfileError`. */
export function readPortSpec(text: string): PortSpec {
  const parts = text.split(':');
  const [host = '', container = ''] = parts.length > 1 ? parts.slice(-2) : ['', text];
  const ip = parts.slice(0, -2).join(':');
  const slash = container.indexOf('/');
  const range = slash < 0 ? container : container.slice(0, slash);
  const protocol = slash < 0 ? 'tcp' : container.slice(slash + 1) || 'tcp';
  const invalidPort = (why: string) => new DockerfileError(`invalid port: ${goQuote(text)}: ${why}`);
  if (range === '') throw invalidPort('no port specified');
  if (!PROTOCOLS.includes(protocol.toLowerCase())) throw invalidPort(`invalid proto: ${protocol}`);
  if (ip !== '' && isIP(ip.replace(/^\[(.*)\]$/, '$1')) === 0) {
    throw new DockerfileError(`invalid IP address: ${ip}`);
  }
  const ports = readRange(range);
  if (!ports) throw new DockerfileError(`invalid containerPort: ${range}`);
  refuseHostPorts(host, range, ports);
  const [first, last] = ports;
  return {
    ports: Array.from({ length: last - first + 1 }, (_, at) => `${first + at}/${protocol.toLowerCase()}`),
    protocol,
    publishes: ip !== '' || host !== '',
  };
}

function refuseHostPorts(host: string, container: string, [first, last]: readonly [number, number]): void {
  if (host === '') return;
  const ports = readRange(host);
  if (!ports) throw new DockerfileError(`invalid hostPort: ${host}`);
  if (ports[1] - ports[0] !== last - first && last !== first) {
    throw new DockerfileError(
      `invalid ranges specified for container and host Ports: ${container} and ${host}`,
    );
  }
}

function readRange(text: string): readonly [number, number] | undefined {
  const dash = text.indexOf('-');
  const first = readPort(dash < 0 ? text : text.slice(0, dash));
  const last = dash < 0 ? first : readPort(text.slice(dash + 1));
  return first === undefined || last === undefined || last < first ? undefined : [first, last];
}

function readPort(text: string): number | undefined {
  return /^\+?\d{1,9}$/.test(text) && Number(text) <= MAX_PORT ? Number(text) : undefined;
}
