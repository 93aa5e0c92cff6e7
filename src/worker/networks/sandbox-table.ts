import { forbidden, notFound } from '#errors/errors.ts';
import { type Network, subnetOf } from './network.ts';
import type { NetworkCatalog } from './network-catalog.ts';
import type { NetworksRepository } from './networks-repository.ts';
import type { EndpointRecord, SandboxRecord } from './sandbox-record.ts';

/** Who is on the network now: in memory for reading, in the database first for a restart. */
export class SandboxTable {
  readonly #repository: NetworksRepository;
  readonly #records = new Map<string, SandboxRecord>();
  /** By network: how many are joining it. */
  readonly #holds = new Map<string, number>();
  readonly #closed = new Set<string>();

  constructor(repository: NetworksRepository) {
    this.#repository = repository;
  }

  async load(): Promise<void> {
    for (const record of await this.#repository.sandboxes()) this.#records.set(record.containerId, record);
  }

  get(containerId: string): SandboxRecord | undefined {
    return this.#records.get(containerId);
  }

  list(): SandboxRecord[] {
    return [...this.#records.values()];
  }

  async save(record: SandboxRecord): Promise<void> {
    await this.#repository.saveSandbox(record);
    this.#records.set(record.containerId, record);
  }

  async delete(containerId: string): Promise<void> {
    await this.#repository.deleteSandbox(containerId);
    this.#records.delete(containerId);
  }

  /** Keeps a network from being removed while somebody joins it. Throws `not-found` when that has begun. */
  hold(network: Network): Disposable {
    if (this.#closed.has(network.id)) throw notFound(`network ${network.name} not found`);
    this.#holds.set(network.id, (this.#holds.get(network.id) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#holds.get(network.id) ?? 1) - 1;
        if (left === 0) this.#holds.delete(network.id);
        else this.#holds.set(network.id, left);
      },
    };
  }

  /** Keeps everybody from joining a network while it is removed. Throws `forbidden` when somebody is on it. */
  close(network: Network): Disposable {
    const [user] = this.onNetwork(network.id);
    if (user || this.#holds.has(network.id)) {
      const who = user
        ? ` (name:"${user.record.containerName}" id:"${user.endpoint.endpointId.slice(0, 12)}")`
        : '';
      throw forbidden(`error while removing network: network ${network.name} has active endpoints${who}`);
    }
    this.#closed.add(network.id);
    return { [Symbol.dispose]: () => void this.#closed.delete(network.id) };
  }

  /** Containers on one network, each with its endpoint there. */
  onNetwork(networkId: string): { readonly record: SandboxRecord; readonly endpoint: EndpointRecord }[] {
    return this.list().flatMap((record) =>
      record.endpoints
        .filter((endpoint) => endpoint.networkId === networkId)
        .map((endpoint) => ({ record, endpoint })),
    );
  }
}

/** The endpoint by which a container reaches the outside and is reached by published ports. */
export function gatewayEndpoint(
  endpoints: readonly EndpointRecord[],
  catalog: NetworkCatalog,
): { readonly endpoint: EndpointRecord; readonly network: Network } | undefined {
  for (const endpoint of endpoints) {
    const network = catalog.find(endpoint.networkId);
    if (network && !network.internal && endpoint.ipv4Address !== '') return { endpoint, network };
  }
  return undefined;
}

/**
 * Addresses of a container's default routes. IPv6 has none: it works within a network and to the host, for routing
 * it further would make a router of the host.
 */
export function gatewaysOf(endpoints: readonly EndpointRecord[], catalog: NetworkCatalog): string[] {
  const way = gatewayEndpoint(endpoints, catalog);
  const gateway = way && subnetOf(way.network, 4)?.gateway;
  return gateway ? [gateway] : [];
}
