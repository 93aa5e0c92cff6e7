import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyedLock } from '#async/keyed-lock.ts';
import { unlessGivenUp } from '#async/unless-given-up.ts';
import { isKind, messageOf, notFound, unavailable } from '#errors/errors.ts';
import type { Bridges } from '../bridges.ts';
import type { Network } from '../network.ts';
import type { NetworkCatalog } from '../network-catalog.ts';
import type { NetworkDriver } from '../network-driver.ts';
import type { EndpointRequest } from '../sandbox.ts';
import { dnsNames, type EndpointRecord, type SandboxRecord } from '../sandbox-record.ts';
import type { SandboxTable } from '../sandbox-table.ts';
import type { OverlayEndpoint, OverlayLink, OverlayState, PooledEndpoint } from './overlay-link.ts';
import { overlayOptions, vxlanName } from './overlay-options.ts';
import type { Underlay } from './underlay.ts';

const RETRY = 1_000;
/** How long a container waits for this worker to have told the pool of itself, in milliseconds. */
const PATIENCE = 20_000;

export interface OverlayMemberPorts {
  readonly link: OverlayLink;
  readonly underlay: Underlay;
  readonly driver: NetworkDriver;
  readonly bridges: Bridges;
  readonly catalog: NetworkCatalog;
  readonly table: SandboxTable;
  readonly warn: (message: string) => void;
}

/** Who asks for an endpoint. */
type Asker = Pick<SandboxRecord, 'containerId' | 'containerName' | 'hostname'>;

/**
 * This worker's part of overlay networks. The pool says who is on them; here that becomes what kernel and resolver know.
 * What the pool is told of this worker's own endpoints is made true again whenever it may have become wrong.
 */
export class OverlayMember {
  readonly #ports: OverlayMemberPorts;
  /** This worker's name in the pool. */
  readonly #worker: string;
  readonly #states = new Map<string, OverlayState>();
  readonly #applying = new KeyedLock();
  readonly #stopping = new AbortController();
  /** Those who are between an address and its record: the pool must not be told meanwhile what there is. */
  readonly #entering = new Set<Promise<void>>();
  #synced = Promise.withResolvers<void>();
  #isSynced = false;
  #tag: string | undefined;
  #running: Promise<void> | undefined;

  constructor(ports: OverlayMemberPorts, { worker }: { worker: string }) {
    this.#ports = ports;
    this.#worker = worker;
  }

  /** Follows the pool until `stop`. */
  start(): void {
    this.#running ??= this.#follow();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** What the pool was told may be wrong, such as after a lease was lost. */
  doubt(): void {
    if (!this.#isSynced) return;
    this.#isSynced = false;
    this.#tag = undefined;
    this.#synced = Promise.withResolvers();
  }

  /**
   * The network that has this name or ID, here or in the pool. What is known of one of the pool's may be old: it may have been
   * removed, and its name and subnet given again, at this moment. Throws `not-found`, `conflict`, `unavailable`.
   */
  async resolve(reference: string): Promise<Network> {
    const { catalog, link } = this.#ports;
    const known = catalog.find(reference);
    if (known && known.driver !== 'overlay') return known;
    const found = await link.find(reference).catch((error) => {
      // Who has to be on it asks the pool again.
      if (known && isKind(error, 'unavailable')) return known;
      throw error;
    });
    if (known && known.id !== found?.id) await this.#drop(known);
    if (!found) throw notFound(`network ${reference} not found`);
    // The pool gives names and subnets once: who has them here is gone there.
    for (const stale of catalog.inTheWayOf(found)) {
      if (stale.driver === 'overlay') await this.#drop(stale);
    }
    await catalog.adopt(found);
    return found;
  }

  /** Until it is disposed, the pool is not told what endpoints there are. */
  async enter(): Promise<Disposable> {
    const deadline = performance.now() + PATIENCE;
    while (!this.#isSynced) {
      await unlessGivenUp(this.#synced.promise, { within: deadline - performance.now() });
      if (!this.#isSynced && performance.now() >= deadline) {
        throw unavailable('overlay networks need the pool, which does not answer');
      }
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#entering.add(promise);
    return {
      [Symbol.dispose]: () => {
        this.#entering.delete(promise);
        resolve();
      },
    };
  }

  /** An address for a container. Throws `not-found`, `conflict`, `invalid`, `unavailable`. */
  async join(network: Network, asker: Asker, request: EndpointRequest): Promise<OverlayEndpoint> {
    const endpointId = randomBytes(32).toString('hex');
    const wish = {
      networkId: network.id,
      containerId: asker.containerId,
      endpointId,
      containerName: asker.containerName,
      names: dnsNames(asker, request.aliases ?? []),
      ...(request.ipv4Address && { ipv4Address: request.ipv4Address }),
      ...(request.macAddress && { macAddress: request.macAddress.toLowerCase().replaceAll('-', ':') }),
    };
    const state = await this.#ports.link.join(wish).catch(async (error) => {
      // It was removed, and may have been made anew under its name.
      if (isKind(error, 'not-found')) await this.#drop(network).catch(() => {});
      throw error;
    });
    const own = state.endpoints.find(({ containerId }) => containerId === asker.containerId);
    if (!own) throw unavailable(`the pool did not keep the endpoint of ${asker.containerName}`);
    this.#keep(state);
    return own;
  }

  /** Nobody waits for the pool to know. */
  leave(networkId: string, containerId: string): void {
    this.#ports.link.leave(networkId, containerId).catch(() => this.doubt());
  }

  rename(record: SandboxRecord): void {
    for (const endpoint of this.#own(record)) this.#ports.link.rename(endpoint).catch(() => this.doubt());
  }

  /** The network's bridge is there: so is the way to all who are on it. */
  apply(network: Network): Promise<void> {
    return this.#applying.run(network.id, () => this.#apply(network));
  }

  async #apply(network: Network): Promise<void> {
    const state = this.#states.get(network.id);
    const { underlay, driver, bridges } = this.#ports;
    if (!state || !bridges.isUp(network)) return;
    await this.#usePeers();
    const peers = new Map(state.peers.map((peer) => [peer.worker, peer]));
    const stations = state.endpoints.flatMap(({ worker, ipv4Address, macAddress }) => {
      const peer = worker === this.#worker ? undefined : peers.get(worker);
      const destination = peer && underlay.addressOf(peer, network);
      return destination === undefined ? [] : [{ ipv4Address, macAddress, destination }];
    });
    await driver.setStations(vxlanName(network), stations);
  }

  /** Of other workers. */
  remote(networkId: string): readonly PooledEndpoint[] {
    return this.#states.get(networkId)?.endpoints.filter(({ worker }) => worker !== this.#worker) ?? [];
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        if (!this.#isSynced) await this.#unlessStopped(this.#sync());
        await this.#hear();
      } catch (error) {
        if (!isKind(error, 'unavailable')) this.#ports.warn(`overlay networks: ${messageOf(error)}`);
        if (isKind(error, 'unauthorized')) this.doubt();
        await sleep(RETRY, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #sync(): Promise<void> {
    const { link, underlay, table } = this.#ports;
    await Promise.all(this.#entering);
    await link.sync(
      await underlay.self(),
      table.list().flatMap((record) => this.#own(record)),
    );
    this.#isSynced = true;
    this.#synced.resolve();
  }

  async #hear(): Promise<void> {
    const { link, catalog, warn } = this.#ports;
    const known = catalog.list().filter(({ driver }) => driver === 'overlay');
    if (known.length === 0) return await this.#idle();
    const ids = known.map(({ id }) => id).toSorted();
    const news = await this.#unlessStopped(link.news(ids, this.#tag));
    if (!news) return;
    for (const state of news.networks ?? []) {
      this.#keep(state);
      await this.apply(state.network).catch((error) =>
        warn(`network ${state.network.name}: ${messageOf(error)}`),
      );
    }
    for (const id of news.gone ?? []) {
      const network = catalog.find(id);
      if (network) await this.#drop(network);
    }
    this.#tag = news.tag;
  }

  /** A stop does not wait for the pool, which may not be there: undefined then. */
  async #unlessStopped<T>(asked: Promise<T>): Promise<T | undefined> {
    return await unlessGivenUp(asked, { signal: this.#stopping.signal });
  }

  /** Answers may overtake each other. */
  #keep(state: OverlayState): void {
    const known = this.#states.get(state.network.id);
    if (!known || state.revision >= known.revision) this.#states.set(state.network.id, state);
  }

  /** There is nothing to hear of yet. */
  async #idle(): Promise<void> {
    await sleep(RETRY / 4, undefined, { signal: this.#stopping.signal }).catch(() => {});
  }

  async #usePeers(): Promise<void> {
    const encrypted = [...this.#states.values()].filter(({ network }) => overlayOptions(network).encrypted);
    const peers = new Map(encrypted.flatMap((state) => state.peers.map((peer) => [peer.worker, peer])));
    peers.delete(this.#worker);
    if (encrypted.length > 0) await this.#ports.underlay.usePeers([...peers.values()]);
  }

  /** The pool has it no more. */
  async #drop(network: Network): Promise<void> {
    const { catalog, table, bridges, warn } = this.#ports;
    if (table.onNetwork(network.id).length > 0)
      return warn(`network ${network.name} is gone, but has containers`);
    using _closed = table.close(network);
    this.#states.delete(network.id);
    await catalog.forget(network.id, (gone) => bridges.remove(gone));
  }

  #own(record: SandboxRecord): OverlayEndpoint[] {
    return record.endpoints
      .filter(({ networkId }) => this.#ports.catalog.find(networkId)?.driver === 'overlay')
      .map((endpoint) => endpointOf(record, endpoint));
  }
}

function endpointOf(record: SandboxRecord, endpoint: EndpointRecord): OverlayEndpoint {
  const { networkId, endpointId, ipv4Address, macAddress } = endpoint;
  const { containerId, containerName } = record;
  const names = dnsNames(record, endpoint.aliases);
  return { networkId, containerId, endpointId, containerName, ipv4Address, macAddress, names };
}
