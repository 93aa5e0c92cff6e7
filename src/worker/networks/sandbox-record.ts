import type { PublishedPort, SandboxRequest } from './sandbox.ts';

/** What is remembered of a container that is on the network now: enough to find, to change and to undo it. */
export interface SandboxRecord {
  readonly containerId: string;
  readonly containerName: string;
  readonly hostname: string;
  readonly mode: SandboxRequest['mode'];
  readonly namespace: string;
  readonly endpoints: readonly EndpointRecord[];
  readonly ports: readonly PublishedPort[];
  readonly resolver: ResolverSettings;
}

export interface EndpointRecord {
  readonly endpointId: string;
  readonly networkId: string;
  readonly interfaceName: string;
  /** The veth's end on the bridge. */
  readonly hostInterface: string;
  readonly macAddress: string;
  /** Empty on `host` and `none`. */
  readonly ipv4Address: string;
  readonly ipv6Address: string;
  readonly aliases: readonly string[];
  /** `container:alias`. */
  readonly links: readonly string[];
}

export interface ResolverSettings {
  readonly dns: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
  readonly extraHosts: readonly string[];
}

/** Every name that the address of a container's endpoint answers to on its network. */
export function dnsNames(
  record: Pick<SandboxRecord, 'containerId' | 'containerName' | 'hostname'>,
  aliases: readonly string[],
): string[] {
  const names = [record.containerName, ...aliases, record.containerId.slice(0, 12), record.hostname];
  return [...new Set(names.filter((name) => name !== ''))];
}
