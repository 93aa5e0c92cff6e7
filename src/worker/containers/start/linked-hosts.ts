import type { Container } from '../container.ts';
import type { ContainerStore } from '../container-store.ts';
import { networkOfMode } from '../host-config.ts';

/** `--link name:alias` on the default bridge, which has no DNS: `alias:address` lines for /etc/hosts. */
export function linkedHosts(container: Container, store: ContainerStore): string[] {
  const { Links, NetworkMode } = container.record.hostConfig;
  if (networkOfMode(NetworkMode) !== 'bridge') return [];
  return (Links ?? []).flatMap((text) => {
    const [name = '', alias = name] = text.split(':');
    const peer = store.find(name);
    const address = peer?.sandbox?.endpoints.find(
      (endpoint) => endpoint.networkName === 'bridge',
    )?.ipv4Address;
    if (!peer || !address) return [];
    const names = new Set([alias.replace(/^.*\//, ''), peer.name, peer.record.config.Hostname]);
    return [...names].map((host) => `${host}:${address}`);
  });
}
