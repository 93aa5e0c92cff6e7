import type { EndpointRequest } from './sandbox.ts';

/** Joins containers to networks, whether they run or not: what they are on is also a container's own setting. */
export interface ContainerNetworks {
  /** By id, name or an id's unique prefix. Throws `not-found`, `conflict`, `forbidden`. */
  connect(container: string, endpoint: EndpointRequest): Promise<void>;
  /** `force` also takes what is left of a container that is gone off the network. */
  disconnect(container: string, network: string, options: { force: boolean }): Promise<void>;
}
