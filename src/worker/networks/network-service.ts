import { join } from 'node:path';
import type { WorkerDatabase } from '#database/worker/open.ts';
import { isKind } from '#errors/errors.ts';
import type { EventPublisher } from '#worker/events/event-publisher.ts';
import { AddressBook } from './address-book.ts';
import { bridgeOptions } from './bridge-options.ts';
import { Bridges, firewallNetwork } from './bridges.ts';
import { containerZone } from './container-zone.ts';
import { EmbeddedResolver } from './dns/embedded-resolver.ts';
import type { NameServer } from './dns/name-server.ts';
import type { Firewall, FirewallState } from './firewall/firewall.ts';
import { IptablesFirewall } from './firewall/iptables-firewall.ts';
import { type AddressPool, DEFAULT_ADDRESS_POOLS } from './ip/subnet-choice.ts';
import { LinuxNetworkDriver } from './linux/linux-network-driver.ts';
import { namespacesIn } from './linux/namespace.ts';
import { isPredefined, type Network } from './network.ts';
import { NetworkCatalog } from './network-catalog.ts';
import type { NetworkDriver } from './network-driver.ts';
import type { CreateNetworkRequest } from './network-request.ts';
import { NetworksRepository } from './networks-repository.ts';
import type { OverlayLink } from './overlay/overlay-link.ts';
import { OverlayMember } from './overlay/overlay-member.ts';
import { vxlanName } from './overlay/overlay-options.ts';
import type { Underlay } from './overlay/underlay.ts';
import { PortReservations } from './ports/port-reservations.ts';
import type { EndpointRequest, Sandbox, Sandboxes, SandboxRequest } from './sandbox.ts';
import { SandboxKeeper } from './sandbox-keeper.ts';
import type { EndpointRecord, SandboxRecord } from './sandbox-record.ts';
import { gatewayEndpoint, SandboxTable } from './sandbox-table.ts';

export interface NetworkOptions {
  /** Namespaces are kept alive below it, best on a tmpfs. */
  readonly runDir: string;
  /** The default network; without a subnet it takes 172.17.0.0/16, or the first free block of the pools. */
  readonly defaultBridge?: { readonly name: string; readonly subnet?: string };
  /** Where networks that name no subnet get theirs from. */
  readonly addressPools?: readonly AddressPool[];
  /** UDP, here and on other machines, that who is on these networks may not send to. */
  readonly tunnelPort?: number;
  /** UDP of this machine that no container gets: the worker's own. */
  readonly ownUdp?: readonly number[];
}

export interface NetworkServiceDependencies {
  readonly database: WorkerDatabase;
  readonly events: EventPublisher;
  readonly options: NetworkOptions;
  /** This machine's own, unless others are given. */
  readonly driver?: NetworkDriver;
  readonly nameServer?: NameServer;
  /** The pool's, for overlay networks. */
  readonly overlay?: {
    readonly link: OverlayLink;
    readonly underlay: Underlay;
    /** This worker's name in the pool. */
    readonly worker: string;
    readonly warn: (message: string) => void;
  };
  readonly firewall?: (options: { prefix: string; state: () => FirewallState }) => Firewall;
}

/** A network with who is on it now. */
export interface NetworkUse {
  readonly network: Network;
  readonly endpoints: readonly { readonly record: SandboxRecord; readonly endpoint: EndpointRecord }[];
}

/** How often flushed firewall rules are put back. */
const REPAIR_INTERVAL_MS = 30_000;

/** The worker's networks and the containers on them. `reconcile` comes first, `stop` last. */
export class NetworkService implements Sandboxes {
  readonly #driver: NetworkDriver;
  readonly #firewall: Firewall;
  readonly #events: EventPublisher;
  readonly #catalog: NetworkCatalog;
  readonly #table: SandboxTable;
  readonly #book = new AddressBook();
  readonly #ports: PortReservations;
  readonly #nameServer: NameServer;
  readonly #bridges: Bridges;
  readonly #keeper: SandboxKeeper;
  readonly #underlay: Underlay | undefined;
  readonly #overlay: OverlayMember | undefined;
  readonly #namespaceDir: string;
  readonly #tunnelPort: number | undefined;
  #loaded: Promise<void> | undefined;
  #repairs: NodeJS.Timeout | undefined;

  constructor({
    database,
    events,
    options,
    driver,
    firewall,
    nameServer,
    overlay,
  }: NetworkServiceDependencies) {
    const defaultBridge = options.defaultBridge ?? { name: 'slipway0' };
    const addressPools = options.addressPools ?? DEFAULT_ADDRESS_POOLS;
    const repository = new NetworksRepository(database);
    this.#driver = driver ?? new LinuxNetworkDriver();
    this.#events = events;
    this.#tunnelPort = options.tunnelPort;
    this.#ports = new PortReservations(options);
    this.#namespaceDir = join(options.runDir, 'netns');
    this.#catalog = new NetworkCatalog({
      repository,
      driver: this.#driver,
      options: { defaultBridge, addressPools },
    });
    this.#table = new SandboxTable(repository);
    this.#underlay = overlay?.underlay;
    this.#bridges = new Bridges(this.#driver, this.#underlay);
    const zoneOf = (containerId: string) => {
      const record = this.#table.get(containerId);
      return (
        record && containerZone(record, this.#catalog, this.#table, (id) => this.#overlay?.remote(id) ?? [])
      );
    };
    this.#nameServer = nameServer ?? new EmbeddedResolver({ zoneOf });
    const filter = { prefix: defaultBridge.name.toUpperCase(), state: () => this.#firewallState() };
    this.#firewall = firewall ? firewall(filter) : new IptablesFirewall(filter);
    if (overlay && this.#underlay) {
      const { link, worker, warn } = overlay;
      const [bridges, catalog, table] = [this.#bridges, this.#catalog, this.#table];
      this.#overlay = new OverlayMember(
        { link, underlay: this.#underlay, driver: this.#driver, bridges, catalog, table, warn },
        { worker },
      );
    }
    this.#keeper = new SandboxKeeper({
      driver: this.#driver,
      bridges: this.#bridges,
      firewall: this.#firewall,
      catalog: this.#catalog,
      table: this.#table,
      book: this.#book,
      ports: this.#ports,
      nameServer: this.#nameServer,
      events,
      overlay: this.#overlay,
      namespaceDir: this.#namespaceDir,
    });
  }

  async attach(request: SandboxRequest, options?: Parameters<Sandboxes['attach']>[1]): Promise<Sandbox> {
    await this.#load();
    return this.#keeper.attach(request, options);
  }

  async get(containerId: string): Promise<Sandbox | undefined> {
    await this.#load();
    return this.#keeper.get(containerId);
  }

  async detach(containerId: string): Promise<void> {
    await this.#load();
    return this.#keeper.detach(containerId);
  }

  async connect(containerId: string, endpoint: EndpointRequest): Promise<Sandbox> {
    await this.#load();
    return this.#keeper.connect(containerId, endpoint);
  }

  async disconnect(containerId: string, network: string): Promise<Sandbox> {
    await this.#load();
    return this.#keeper.disconnect(containerId, network);
  }

  async rename(containerId: string, name: string): Promise<void> {
    await this.#load();
    return this.#keeper.rename(containerId, name);
  }

  async list(): Promise<NetworkUse[]> {
    await this.#load();
    return this.#catalog.list().map((network) => this.#use(network));
  }

  /** By name, id or an id's unique prefix. Throws `not-found`. */
  async inspect(reference: string): Promise<NetworkUse> {
    await this.#load();
    return this.#use(this.#catalog.get(reference));
  }

  /** One that is known here, or else a network of the pool. Throws `not-found`. */
  async resolve(reference: string): Promise<Network> {
    await this.#load();
    return (await this.#overlay?.resolve(reference)) ?? this.#catalog.get(reference);
  }

  /** Throws `conflict` (name), `forbidden` (overlapping subnet, predefined name), `invalid`. */
  async create(request: CreateNetworkRequest): Promise<Network> {
    await this.#load();
    const network = await this.#catalog.create(request, async (planned) => {
      bridgeOptions(planned);
      await this.#bridges.ensure(planned, () => this.#firewall.sync());
    });
    this.#announce('create', network);
    return network;
  }

  /** Throws `not-found`, `forbidden` (predefined, or somebody is on it). */
  async remove(reference: string): Promise<void> {
    await this.#load();
    const wanted = this.#catalog.get(reference);
    using _closed = isPredefined(wanted.name) ? undefined : this.#table.close(wanted);
    const removed = await this.#catalog.remove(wanted.id, async (network) => {
      await this.#bridges.remove(network);
      this.#book.forget(network);
      await this.#firewall.sync();
    });
    this.#announce('destroy', removed);
  }

  /** Removes the user's networks that nobody is on and that `selects` names; answers which. */
  async prune(selects: (network: Network) => boolean = () => true): Promise<Network[]> {
    const pruned: Network[] = [];
    for (const { network, endpoints } of await this.list()) {
      if (isPredefined(network.name) || network.driver === 'overlay') continue;
      if (endpoints.length > 0 || !selects(network)) continue;
      try {
        await this.remove(network.id);
        pruned.push(network);
      } catch (error) {
        // Somebody joined or removed it meanwhile.
        if (!isKind(error, 'forbidden') && !isKind(error, 'not-found')) throw error;
      }
    }
    return pruned;
  }

  /** Makes true again what a former process left: the living keep their network, the dead lose theirs. */
  async reconcile(liveContainerIds: readonly string[]): Promise<void> {
    await this.#load();
    const live = new Set(liveContainerIds);
    for (const record of this.#table.list()) {
      if (!live.has(record.containerId)) await this.#keeper.detach(record.containerId);
    }
    const kept = new Set(this.#table.list().map(({ namespace }) => namespace));
    for (const path of namespacesIn(this.#namespaceDir)) {
      if (!kept.has(path)) this.#driver.removeNamespace(path);
    }
    await this.#reviveBridges();
    for (const record of this.#table.list()) await this.#keeper.revive(record);
    this.#overlay?.start();
    this.#repairs ??= setInterval(
      () => void this.#firewall.repair().catch(() => {}),
      REPAIR_INTERVAL_MS,
    ).unref();
  }

  /** What the pool knows of this worker may be wrong, such as after its lease was lost. */
  doubtOverlays(): void {
    this.#overlay?.doubt();
  }

  /** Containers that are still there keep their network; without any, nothing of ours stays on the host. */
  async stop(): Promise<void> {
    clearInterval(this.#repairs);
    await this.#overlay?.stop();
    await this.#loaded;
    await this.#nameServer.close();
    await this.#ports.close();
    if (this.#table.list().some(({ mode }) => mode === 'networks')) return;
    for (const network of this.#catalog.list()) if (network.bridge) await this.#bridges.remove(network);
    await this.#underlay?.remove();
    await this.#firewall.remove();
  }

  /** Bridges that containers still hang on, without the ends of those that do not. */
  async #reviveBridges(): Promise<void> {
    for (const network of this.#catalog.list()) {
      if (!network.bridge) continue;
      const users = this.#table.onNetwork(network.id);
      const known = new Set(users.map(({ endpoint }) => endpoint.hostInterface));
      for (const port of await this.#driver.bridgePorts(network.bridge)) {
        if (!known.has(port) && port !== vxlanName(network)) await this.#driver.leave(port);
      }
      if (users.length === 0) continue;
      const made = this.#bridges.ensure(network, async () => {});
      // What the kernel has of it stays; this machine's address may not be known yet.
      await (network.driver === 'overlay' ? made.catch(() => {}) : made);
    }
    const [defaultNetwork] = this.#catalog.list().filter(({ name }) => name === 'bridge');
    if (defaultNetwork && this.#table.onNetwork(defaultNetwork.id).length === 0)
      await this.#catalog.settleDefault();
    // The default network is ready before its first container; `attach` says why, should it not be.
    await this.#bridges.ensure(this.#catalog.get('bridge'), async () => {}).catch(() => {});
    await this.#firewall.sync().catch(() => {});
  }

  /** Once a process; what is on the network keeps its addresses. */
  #load(): Promise<void> {
    this.#loaded ??= (async () => {
      await this.#catalog.load();
      await this.#table.load();
      for (const record of this.#table.list()) {
        for (const endpoint of record.endpoints) {
          const network = this.#catalog.get(endpoint.networkId);
          if (endpoint.ipv4Address) this.#book.of(network, 4)?.restore(endpoint.ipv4Address);
          if (endpoint.ipv6Address) this.#book.of(network, 6)?.restore(endpoint.ipv6Address);
        }
      }
    })();
    return this.#loaded;
  }

  #use(network: Network): NetworkUse {
    return { network, endpoints: this.#table.onNetwork(network.id) };
  }

  #firewallState(): FirewallState {
    const ports = this.#table.list().flatMap((record) => {
      const address = gatewayEndpoint(record.endpoints, this.#catalog)?.endpoint.ipv4Address;
      if (address === undefined) return [];
      return record.ports.filter(({ hostIp }) => !hostIp.includes(':')).map((port) => ({ ...port, address }));
    });
    const networks = this.#bridges
      .up()
      .map((network) => ({ ...firewallNetwork(network), tunnelPort: this.#tunnelPort }));
    return { networks, ports };
  }

  #announce(action: 'create' | 'destroy', network: Network): void {
    const attributes = { name: network.name, type: network.driver };
    this.#events.publish({ type: 'network', action, actor: { id: network.id, attributes } });
  }
}
