import { randomBytes } from 'node:crypto';
import { KeyedLock } from '#async/keyed-lock.ts';
import { conflict, forbidden, invalid, notFound } from '#errors/errors.ts';
import { formatSubnet, overlaps, parseSubnet, type Subnet } from './ip/subnet.ts';
import { type AddressPool, chooseSubnet } from './ip/subnet-choice.ts';
import { isPredefined, type Network, PREDEFINED_NETWORKS } from './network.ts';
import type { NetworkDriver } from './network-driver.ts';
import { type CreateNetworkRequest, planNetwork, subnetsOf, withGateway } from './network-request.ts';
import type { NetworksRepository } from './networks-repository.ts';

export interface NetworkCatalogOptions {
  readonly defaultBridge: { readonly name: string; readonly subnet?: string };
  readonly addressPools: readonly AddressPool[];
}

/** Docker's own choice for its default network, before it looks at the pools. */
const FIRST_POOL: AddressPool = { base: '172.17.0.0/16', size: 16 };

/** All networks of this worker, by their names and subnets. */
export class NetworkCatalog {
  readonly #repository: NetworksRepository;
  readonly #driver: NetworkDriver;
  readonly #options: NetworkCatalogOptions;
  readonly #networks = new Map<string, Network>();
  readonly #changes = new KeyedLock<'change'>();

  constructor(dependencies: {
    repository: NetworksRepository;
    driver: NetworkDriver;
    options: NetworkCatalogOptions;
  }) {
    this.#repository = dependencies.repository;
    this.#driver = dependencies.driver;
    this.#options = dependencies.options;
  }

  /** Reads what there is and adds the predefined networks that are missing. */
  async load(): Promise<void> {
    for (const network of await this.#repository.networks()) this.#networks.set(network.id, network);
    for (const name of PREDEFINED_NETWORKS) {
      if (!this.find(name)) await this.#save(await this.#predefined(name));
    }
  }

  list(): Network[] {
    return [...this.#networks.values()];
  }

  /** By full id, name, or an id's prefix that only one network has. Throws `invalid` when several have it. */
  find(reference: string): Network | undefined {
    if (reference === '') return undefined;
    const exact = this.#networks.get(reference) ?? this.list().find(({ name }) => name === reference);
    if (exact) return exact;
    const matches = this.list().filter(({ id }) => id.startsWith(reference));
    if (matches.length > 1) {
      throw invalid(`network ${reference} is ambiguous (${matches.length} matches found based on ID prefix)`);
    }
    return matches[0];
  }

  get(reference: string): Network {
    const network = this.find(reference);
    if (!network) throw notFound(`network ${reference} not found`);
    return network;
  }

  /** Adds a network after `realize` has made it real; when that fails nothing is left of it. */
  create(request: CreateNetworkRequest, realize: (network: Network) => Promise<void>): Promise<Network> {
    return this.#changes.run('change', async () => {
      const around = {
        networks: this.list(),
        hostSubnets: await this.#hostSubnets(),
        pools: this.#options.addressPools,
      };
      if (!isPredefined(request.name) && this.list().some(({ name }) => name === request.name)) {
        throw conflict(`network with name ${request.name} already exists`);
      }
      const network = planNetwork(request, around);
      if (await this.#driver.hasInterface(network.bridge)) {
        throw conflict(`an interface with name ${network.bridge} already exists on the host`);
      }
      await this.#save(network);
      try {
        await realize(network);
        return network;
      } catch (error) {
        await this.#driver.removeBridge(network.bridge).catch(() => {});
        await this.#delete(network);
        throw error;
      }
    });
  }

  /** Other networks of its name, or with a part of its subnets. */
  inTheWayOf(network: Network): Network[] {
    const own = subnetsOf([network]);
    const meets = (other: Network) =>
      subnetsOf([other]).some((subnet) => own.some((each) => overlaps(each, subnet)));
    return this.list().filter(
      (other) => other.id !== network.id && (other.name === network.name || meets(other)),
    );
  }

  /** Takes a network of the pool up. Throws `conflict` when a network of this worker is in its way. */
  adopt(network: Network): Promise<void> {
    return this.#changes.run('change', async () => {
      if (this.#networks.has(network.id)) return;
      if (this.list().some(({ name }) => name === network.name)) {
        throw conflict(`network with name ${network.name} already exists on this worker`);
      }
      const own = subnetsOf([network]);
      const taken = [...subnetsOf(this.list()), ...(await this.#hostSubnets(network.bridge))];
      const other = taken.find((subnet) => own.some((each) => overlaps(each, subnet)));
      if (other) {
        throw conflict(
          `network ${network.name} (${formatSubnet(own[0]!)}) overlaps with ${formatSubnet(other)}, which this worker uses`,
        );
      }
      await this.#save(network);
    });
  }

  /** Takes a network of the pool off, after `undo` has removed what is real of it; not there is no error. */
  forget(id: string, undo: (network: Network) => Promise<void>): Promise<void> {
    return this.#changes.run('change', async () => {
      const network = this.#networks.get(id);
      if (!network) return;
      await undo(network);
      await this.#delete(network);
    });
  }

  /** Takes a network off after `undo` has removed what is real of it. */
  remove(reference: string, undo: (network: Network) => Promise<void>): Promise<Network> {
    return this.#changes.run('change', async () => {
      const network = this.get(reference);
      if (isPredefined(network.name)) {
        throw forbidden(`${network.name} is a pre-defined network and cannot be removed`);
      }
      if (network.driver === 'overlay') {
        throw forbidden(`network ${network.name} is the pool's: it is removed at a gateway`);
      }
      await undo(network);
      await this.#delete(network);
      return network;
    });
  }

  /**
   * Moves the default network when it was configured anew, or to a free subnet when the host has come to use its
   * own. Nobody may be on it.
   */
  async settleDefault(): Promise<Network> {
    const network = this.get('bridge');
    const wanted = this.#options.defaultBridge;
    const [stored] = subnetsOf([network]);
    const host = await this.#hostSubnets(network.bridge);
    const fits =
      stored !== undefined &&
      (wanted.subnet === undefined
        ? !host.some((other) => overlaps(stored, other))
        : formatSubnet(stored) === formatSubnet(parseSubnet(wanted.subnet)));
    if (fits && network.bridge === wanted.name) return network;
    const settled = { ...(await this.#predefined('bridge')), id: network.id, createdAt: network.createdAt };
    await this.#save(settled);
    return settled;
  }

  async #predefined(name: (typeof PREDEFINED_NETWORKS)[number]): Promise<Network> {
    const isBridge = name === 'bridge';
    return {
      id: randomBytes(32).toString('hex'),
      name,
      driver: name === 'none' ? 'null' : name,
      createdAt: new Date(),
      bridge: isBridge ? this.#options.defaultBridge.name : '',
      internal: false,
      attachable: false,
      ipv6: false,
      ipam: {
        driver: 'default',
        options: {},
        config: isBridge ? [withGateway({ subnet: await this.#defaultSubnet() })] : [],
      },
      options: isBridge ? defaultBridgeOptions(this.#options.defaultBridge.name) : {},
      labels: {},
    };
  }

  async #defaultSubnet(): Promise<string> {
    const { name, subnet } = this.#options.defaultBridge;
    if (subnet !== undefined) return formatSubnet(parseSubnet(subnet));
    const others = this.list().filter((network) => network.name !== 'bridge');
    const taken = [...(await this.#hostSubnets(name)), ...subnetsOf(others)];
    return formatSubnet(chooseSubnet([FIRST_POOL, ...this.#options.addressPools], taken));
  }

  async #hostSubnets(except?: string): Promise<Subnet[]> {
    const routes = await this.#driver.hostRoutes();
    return routes.filter((route) => route.interfaceName !== except).map((route) => parseSubnet(route.subnet));
  }

  async #save(network: Network): Promise<void> {
    await this.#repository.saveNetwork(network);
    this.#networks.set(network.id, network);
  }

  async #delete(network: Network): Promise<void> {
    await this.#repository.deleteNetwork(network.id);
    this.#networks.delete(network.id);
  }
}

const defaultBridgeOptions = (name: string) => ({
  'com.docker.network.bridge.default_bridge': 'true',
  'com.docker.network.bridge.enable_icc': 'true',
  'com.docker.network.bridge.enable_ip_masquerade': 'true',
  'com.docker.network.bridge.host_binding_ipv4': '0.0.0.0',
  'com.docker.network.bridge.name': name,
  'com.docker.network.driver.mtu': '1500',
});
