import { invalid } from '#errors/errors.ts';
import type { ContainerConfig } from '../container-config.ts';
import { type HostConfig, sharedContainer } from '../host-config.ts';

/** Checks that a container asks for nothing of its own where it takes another's, in Docker's words. Throws `invalid`. */
export function verifyNetworkMode(config: ContainerConfig, host: HostConfig): void {
  if (host.UTSMode === 'host' && config.Hostname !== '') {
    throw invalid('conflicting options: hostname and the UTS mode');
  }
  if (sharedContainer(host.NetworkMode) === undefined) return;
  const conflicts: readonly (readonly [boolean, string])[] = [
    [config.Hostname !== '', 'hostname and the network mode'],
    [
      (host.Links ?? []).length > 0,
      "container type network can't be used with links. This would result in undefined behavior",
    ],
    [(host.Dns ?? []).length > 0, 'dns and the network mode'],
    [(host.ExtraHosts ?? []).length > 0, 'custom host-to-IP mapping and the network mode'],
    [(config.MacAddress ?? '') !== '', 'mac-address and the network mode'],
    [
      Object.keys(host.PortBindings).length > 0 || host.PublishAllPorts,
      'port publishing and the container type network mode',
    ],
    [Object.keys(config.ExposedPorts ?? {}).length > 0, 'port exposing and the container type network mode'],
  ];
  const conflict = conflicts.find(([holds]) => holds);
  if (conflict) throw invalid(`conflicting options: ${conflict[1]}`);
}
