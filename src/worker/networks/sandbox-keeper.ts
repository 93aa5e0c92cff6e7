import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { KeyedLock } from '#async/keyed-lock.ts';
import { canceled, forbidden, isKind, notFound, SlipwayError, unavailable } from '#errors/errors.ts';
import type { EventPublisher } from '#worker/events/event-publisher.ts';
import { AddressBook } from './address-book.ts';
import { bridgeOptions } from './bridge-options.ts';
import type { Bridges } from './bridges.ts';
import { parseExtraHost } from './dns/hosts-file.ts';
import type { NameServer } from './dns/name-server.ts';
import { interfaceAddresses, planEndpoint } from './endpoint-plan.ts';
import type { Firewall } from './firewall/firewall.ts';
import type { Network } from './network.ts';
import type { NetworkCatalog } from './network-catalog.ts';
import type { NetworkDriver } from './network-driver.ts';
import type { OverlayMember } from './overlay/overlay-member.ts';
import type { PortReservations } from './ports/port-reservations.ts';
import type { EndpointRequest, Sandbox, Sandboxes, SandboxRequest } from './sandbox.ts';
import type { EndpointRecord, SandboxRecord } from './sandbox-record.ts';
import { gatewayEndpoint, gatewaysOf, type SandboxTable } from './sandbox-table.ts';
import { sandboxView, usesEmbeddedResolver } from './sandbox-view.ts';

export interface SandboxKeeperDependencies {
  readonly driver: NetworkDriver;
  readonly bridges: Bridges;
  readonly firewall: Firewall;
  readonly catalog: NetworkCatalog;
  readonly table: SandboxTable;
  readonly book: AddressBook;
  readonly ports: PortReservations;
  readonly nameServer: NameServer;
  readonly events: EventPublisher;
  /** Undefined for a worker of no pool. */
  readonly overlay: OverlayMember | undefined;
  /** Namespaces are kept alive here. */
  readonly namespaceDir: string;
}

/** Puts containers on networks and takes them off: one container's changes come one after another. */
export class SandboxKeeper implements Sandboxes {
  readonly #with: SandboxKeeperDependencies;
  readonly #locks = new KeyedLock();

  constructor(dependencies: SandboxKeeperDependencies) {
    this.#with = dependencies;
  }

  attach(
    request: SandboxRequest,
    options: { signal?: AbortSignal; onNamespace?: (namespace: string) => void } = {},
  ): Promise<Sandbox> {
    return this.#locks.run(request.containerId, async () => {
      await this.#detach(request.containerId);
      if (options.signal?.aborted) throw canceled();
      for (const host of request.extraHosts ?? []) parseExtraHost(host, '');
      const record = await this.#attach(request, options);
      for (const endpoint of record.endpoints) this.#announce('connect', record, endpoint);
      return this.#view(record);
    });
  }

  async get(containerId: string): Promise<Sandbox | undefined> {
    const record = this.#with.table.get(containerId);
    return record && this.#view(record);
  }

  detach(containerId: string): Promise<void> {
    return this.#locks.run(containerId, () => this.#detach(containerId));
  }

  connect(containerId: string, request: EndpointRequest): Promise<Sandbox> {
    return this.#locks.run(containerId, async () => {
      const { table, overlay } = this.#with;
      const record = this.#attached(containerId);
      const network = await this.#network(request.network);
      checkConnectable(record, network);
      if (record.endpoints.some((endpoint) => endpoint.networkId === network.id)) {
        throw forbidden(
          `endpoint with name ${record.containerName} already exists in network ${network.name}`,
        );
      }
      using _hold = table.hold(network);
      using _entering = network.driver === 'overlay' ? await overlay?.enter() : undefined;
      await using undo = new AsyncDisposableStack();
      const endpoint = await this.#plan(network, record, request, record.endpoints);
      undo.defer(() => this.#release(network, containerId, endpoint));
      await this.#join(record.namespace, network, endpoint, []);
      undo.defer(() => this.#with.driver.leave(endpoint.hostInterface));
      const changed = { ...record, endpoints: [...record.endpoints, endpoint] };
      await this.#reroute(record, changed);
      await table.save(changed);
      undo.move();
      await this.#serveNames(changed, { fresh: false });
      await this.#forwardPorts(changed);
      this.#announce('connect', changed, endpoint);
      return this.#view(changed);
    });
  }

  disconnect(containerId: string, reference: string): Promise<Sandbox> {
    return this.#locks.run(containerId, async () => {
      const { catalog, table, driver } = this.#with;
      const record = this.#attached(containerId);
      const network = catalog.get(reference);
      if (network.driver === 'host') {
        throw forbidden('container cannot be disconnected from host network or connected to host network');
      }
      const endpoint = record.endpoints.find(({ networkId }) => networkId === network.id);
      if (!endpoint) throw notFound(`container ${containerId} is not connected to network ${network.name}`);
      const changed = { ...record, endpoints: record.endpoints.filter((other) => other !== endpoint) };
      await table.save(changed);
      await driver.leave(endpoint.hostInterface);
      await this.#reroute(changed, changed);
      this.#release(network, containerId, endpoint);
      await this.#forwardPorts(changed);
      this.#announce('disconnect', changed, endpoint);
      return this.#view(changed);
    });
  }

  rename(containerId: string, name: string): Promise<void> {
    return this.#locks.run(containerId, async () => {
      const record = this.#with.table.get(containerId);
      if (!record) return;
      const changed = { ...record, containerName: name };
      await this.#with.table.save(changed);
      this.#with.overlay?.rename(changed);
    });
  }

  /** For a container that outlived the worker: holds its ports again and answers its questions. */
  async revive(record: SandboxRecord): Promise<void> {
    await this.#with.ports.restore(record.containerId, record.ports, this.#targetOf(record));
    // A container without names is still a container.
    await this.#serveNames(record, { fresh: false }).catch(() => {});
  }

  async #attach(
    request: SandboxRequest,
    { onNamespace }: { onNamespace?: (namespace: string) => void },
  ): Promise<SandboxRecord> {
    const { table, driver, overlay } = this.#with;
    using holds = new DisposableStack();
    await using undo = new AsyncDisposableStack();
    const wishes = request.mode === 'networks' ? request.endpoints : [{ network: request.mode }];
    const endpoints: EndpointRecord[] = [];
    let hasEntered = false;
    for (const wish of wishes) {
      const network = await this.#network(wish.network);
      if (request.mode === 'networks' && network.bridge === '') checkConnectable(undefined, network);
      holds.use(table.hold(network));
      if (network.driver === 'overlay' && overlay && !hasEntered) {
        holds.use(await overlay.enter());
        hasEntered = true;
      }
      const endpoint = await this.#plan(network, request, wish, endpoints);
      undo.defer(() => this.#release(network, request.containerId, endpoint));
      endpoints.push(endpoint);
    }
    const bare = recordOf(request, endpoints, this.#namespaceFor(request));
    const ports = await this.#reservePorts(bare, request, undo);
    const record = { ...bare, ports };
    if (request.mode === 'networks') {
      driver.createNamespace(record.namespace);
      undo.defer(() => driver.removeNamespace(record.namespace));
      onNamespace?.(record.namespace);
    }
    undo.defer(() => table.delete(record.containerId));
    undo.defer(() => this.#with.nameServer.stop(record.containerId));
    await allOf(
      this.#joinAll(record).then(() => this.#serveNames(record, { fresh: true })),
      table.save(record).then(() => this.#forwardPorts(record)),
    );
    undo.move();
    return record;
  }

  async #joinAll({ namespace, endpoints }: SandboxRecord): Promise<void> {
    const { catalog } = this.#with;
    const way = gatewayEndpoint(endpoints, catalog)?.endpoint;
    for (const endpoint of endpoints) {
      const network = catalog.get(endpoint.networkId);
      if (network.bridge === '') continue;
      await this.#join(namespace, network, endpoint, endpoint === way ? gatewaysOf(endpoints, catalog) : []);
    }
  }

  async #reservePorts(
    record: SandboxRecord,
    request: SandboxRequest,
    undo: AsyncDisposableStack,
  ): Promise<SandboxRecord['ports']> {
    const way = gatewayEndpoint(record.endpoints, this.#with.catalog);
    if (!way || request.ports.length === 0) return [];
    const { hostBinding } = bridgeOptions(way.network);
    const wishes = request.ports.map((port) => ({ ...port, hostIp: anyAddress(port.hostIp) || hostBinding }));
    try {
      const ports = await this.#with.ports.reserve(record.containerId, wishes, this.#targetOf(record));
      undo.defer(() => this.#with.ports.release(record.containerId));
      return ports;
    } catch (error) {
      if (!(error instanceof SlipwayError)) throw error;
      const endpoint = `${record.containerName} (${way.endpoint.endpointId})`;
      throw new SlipwayError(
        error.kind,
        `driver failed programming external connectivity on endpoint ${endpoint}: ${error.message}`,
        { cause: error },
      );
    }
  }

  /** Where the worker's own sockets pass connections on to: looked up anew each time, for networks change. */
  #targetOf(record: SandboxRecord): () => string | undefined {
    const { table, catalog } = this.#with;
    return () => {
      const current = table.get(record.containerId) ?? record;
      return gatewayEndpoint(current.endpoints, catalog)?.endpoint.ipv4Address;
    };
  }

  async #join(
    namespace: string,
    network: Network,
    endpoint: EndpointRecord,
    gateways: readonly string[],
  ): Promise<void> {
    const { bridges, driver, firewall, overlay } = this.#with;
    await bridges.ensure(network, () => firewall.sync());
    const attachment = {
      bridge: network.bridge,
      hostInterface: endpoint.hostInterface,
      interfaceName: endpoint.interfaceName,
      macAddress: endpoint.macAddress,
      mtu: bridges.mtuOf(network),
      addresses: interfaceAddresses(network, endpoint),
      gateways,
    };
    try {
      await driver.join(namespace, attachment);
    } catch (error) {
      // Somebody else took the bridge down; it is made anew once.
      if (!isKind(error, 'unavailable') || error.code !== 'ENODEV') throw error;
      bridges.doubt(network);
      await bridges.ensure(network, () => firewall.sync());
      await driver.join(namespace, attachment);
    }
    await overlay?.apply(network);
  }

  /** One that is known here, or else the pool's. */
  async #network(reference: string): Promise<Network> {
    const { catalog, overlay } = this.#with;
    return overlay ? await overlay.resolve(reference) : catalog.get(reference);
  }

  /** An endpoint with an address: of this worker's own, or of the pool's. */
  async #plan(
    network: Network,
    asker: Pick<SandboxRecord, 'containerId' | 'containerName' | 'hostname'>,
    request: EndpointRequest,
    others: readonly EndpointRecord[],
  ): Promise<EndpointRecord> {
    const { book, overlay } = this.#with;
    if (network.driver !== 'overlay') return planEndpoint(network, request, others, book);
    if (!overlay) throw unavailable(`network ${network.name} needs a pool, which this worker is not of`);
    const { ipv4Address, macAddress, endpointId } = await overlay.join(network, asker, request);
    try {
      const given = { ...request, ipv4Address, macAddress };
      return { ...planEndpoint(network, given, others, new AddressBook()), endpointId };
    } catch (error) {
      overlay.leave(network.id, asker.containerId);
      throw error;
    }
  }

  #release(network: Network, containerId: string, endpoint: EndpointRecord): void {
    if (network.driver === 'overlay') this.#with.overlay?.leave(network.id, containerId);
    else this.#with.book.release(network, endpoint);
  }

  /** The way out follows the first network that has one. */
  async #reroute(before: SandboxRecord, after: SandboxRecord): Promise<void> {
    const { catalog, driver } = this.#with;
    const [former, gateways] = [gatewaysOf(before.endpoints, catalog), gatewaysOf(after.endpoints, catalog)];
    await driver.setGateways(after.namespace, gateways, former);
  }

  async #serveNames(record: SandboxRecord, options: { fresh: boolean }): Promise<void> {
    if (!usesEmbeddedResolver(record, this.#with.catalog)) return;
    await this.#with.nameServer.serve(record.containerId, record.namespace, options);
  }

  async #forwardPorts(record: SandboxRecord): Promise<void> {
    if (record.ports.length === 0) return;
    await this.#with.firewall.sync();
    for (const { protocol, hostPort } of record.ports) {
      // Without it only senders of before are worse off.
      if (protocol === 'udp') await this.#with.driver.forgetUdpFlows(hostPort).catch(() => {});
    }
  }

  async #detach(containerId: string): Promise<void> {
    const { table, ports, driver, catalog, nameServer, firewall } = this.#with;
    const record = table.get(containerId);
    if (!record) return;
    await nameServer.stop(containerId);
    await ports.release(containerId);
    if (record.mode === 'networks') driver.removeNamespace(record.namespace);
    await table.delete(containerId);
    // Taking rules away waits for the kernel (30 ms) and nobody waits for that; a later run repairs a failed one.
    if (record.ports.length > 0) void firewall.sync().catch(() => {});
    for (const endpoint of record.endpoints) {
      const network = catalog.find(endpoint.networkId);
      if (network) this.#release(network, containerId, endpoint);
      this.#announce('disconnect', record, endpoint);
    }
  }

  #attached(containerId: string): SandboxRecord {
    const record = this.#with.table.get(containerId);
    if (!record) throw notFound(`container ${containerId} is not on any network`);
    return record;
  }

  #namespaceFor({ mode }: SandboxRequest): string {
    if (mode === 'host') return 'host';
    return mode === 'none' ? 'new' : join(this.#with.namespaceDir, randomBytes(6).toString('hex'));
  }

  #view(record: SandboxRecord): Promise<Sandbox> {
    return sandboxView(record, this.#with.catalog, this.#with.table);
  }

  #announce(action: 'connect' | 'disconnect', record: SandboxRecord, endpoint: EndpointRecord): void {
    const network = this.#with.catalog.find(endpoint.networkId);
    if (!network) return;
    const attributes = { container: record.containerId, name: network.name, type: network.driver };
    this.#with.events.publish({ type: 'network', action, actor: { id: network.id, attributes } });
  }
}

function recordOf(
  request: SandboxRequest,
  endpoints: readonly EndpointRecord[],
  namespace: string,
): SandboxRecord {
  return {
    containerId: request.containerId,
    containerName: request.containerName,
    hostname: request.hostname,
    mode: request.mode,
    namespace,
    endpoints,
    ports: [],
    resolver: {
      dns: request.dns ?? [],
      search: request.dnsSearch ?? [],
      options: request.dnsOptions ?? [],
      extraHosts: request.extraHosts ?? [],
    },
  };
}

function checkConnectable(record: SandboxRecord | undefined, network: Network): void {
  if (network.driver === 'host' || record?.mode === 'host') {
    throw forbidden('container cannot be disconnected from host network or connected to host network');
  }
  if (network.driver === 'null' || record?.mode === 'none') {
    throw forbidden(
      'container cannot be connected to multiple networks with one of the networks in private (none) mode',
    );
  }
}

/** Waits for all of them, also when one fails: what they began must not go on while it is undone. */
async function allOf(...tasks: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(tasks)) {
    if (result.status === 'rejected') throw result.reason;
  }
}

const anyAddress = (hostIp: string) => (hostIp === '0.0.0.0' ? '' : hostIp);
