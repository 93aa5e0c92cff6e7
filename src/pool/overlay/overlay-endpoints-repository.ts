import { type Selectable, sql } from 'kysely';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { OverlayEndpointsTable } from '#database/pool/overlay-schema.ts';
import { inTransaction } from '#database/transaction.ts';
import { conflict, invalid, notFound, unavailable } from '#errors/errors.ts';
import { macFor } from '#worker/networks/endpoint-plan.ts';
import { addressToNumber, numberToAddress } from '#worker/networks/ip/address.ts';
import { contains, lastAddress, parseSubnet } from '#worker/networks/ip/subnet.ts';
import { type Network, subnetOf } from '#worker/networks/network.ts';
import type {
  OverlayEndpoint,
  OverlayPeer,
  OverlayState,
  OverlayWish,
  PooledEndpoint,
} from '#worker/networks/overlay/overlay-link.ts';
import { announceOverlays } from './announcements-repository.ts';
import { isReserved, parseNetwork } from './overlay-networks-repository.ts';

/** So many addresses are looked at in one query. */
const AT_ONCE = 64;

/** Who is on which overlay network, at which worker, with which address: one address is one container's in the whole pool. */
export class OverlayEndpointsRepository {
  readonly #db: PoolDatabase;
  readonly #tenant: string;

  /** `tenant`: whose networks; without, those of the pool's operator. */
  constructor(db: PoolDatabase, tenant = '') {
    this.#db = db;
    this.#tenant = tenant;
  }

  /**
   * Gives a container of a worker an address, round robin; one that it has there already is given back. Joins of one
   * network come one after another. Throws `not-found`, `conflict`, `invalid`, and `unavailable` when all are taken.
   */
  async join(worker: string, wish: OverlayWish): Promise<OverlayEndpoint> {
    return await inTransaction(this.#db, async (trx) => {
      const { network, last } = await this.#hold(trx, wish.networkId);
      await trx
        .deleteFrom('overlay_endpoints')
        .where('network_id', '=', wish.networkId)
        .where('container_id', '=', wish.containerId)
        .execute();
      const ipv4Address = wish.ipv4Address
        ? await this.#takeExactly(trx, network, wish.ipv4Address)
        : await this.#take(trx, network, last);
      const endpoint = { ...wish, ipv4Address, macAddress: wish.macAddress ?? macFor(ipv4Address) };
      await trx.insertInto('overlay_endpoints').values(rowOf(worker, endpoint)).execute();
      await announceOverlays(trx);
      return endpoint;
    });
  }

  /** Not there, or another worker's, is no error. `worker` undefined: whosever it is. */
  async leave(worker: string | undefined, networkId: string, containerId: string): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
      const gone = await trx
        .deleteFrom('overlay_endpoints')
        .where('network_id', '=', networkId)
        .where('container_id', '=', containerId)
        .$if(worker !== undefined, (query) => query.where('worker', '=', worker!))
        .executeTakeFirst();
      if (gone.numDeletedRows === 0n) return false;
      await this.#touch(trx, [networkId]);
      return true;
    });
  }

  async rename(worker: string, endpoint: OverlayEndpoint): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      await this.#rename(trx, worker, endpoint);
      await this.#touch(trx, [endpoint.networkId]);
    });
  }

  /**
   * Makes true what a worker says of itself: these endpoints are its, and no others on networks of this tenant. One whose address is another's by now
   * stays out; those are answered.
   */
  async sync(
    worker: string,
    self: Omit<OverlayPeer, 'worker'>,
    endpoints: readonly OverlayEndpoint[],
  ): Promise<OverlayEndpoint[]> {
    return await inTransaction(this.#db, async (trx) => {
      const peer = {
        address: self.address,
        public_key: self.publicKey,
        wireguard_port: self.wireguardPort,
      };
      await trx
        .insertInto('overlay_workers')
        .values({ worker, ...peer })
        .onConflict((onConflict) => onConflict.column('worker').doUpdateSet(peer))
        .execute();
      const known = await trx
        .selectFrom('overlay_endpoints')
        .innerJoin('overlay_networks', 'overlay_networks.id', 'network_id')
        .select(['network_id', 'container_id'])
        .where('worker', '=', worker)
        .where('tenant', '=', this.#tenant)
        .execute();
      const touched = new Set([
        ...known.map((row) => row.network_id),
        ...endpoints.map((each) => each.networkId),
      ]);
      // In one order, so that two workers do not wait for each other.
      await this.#touch(trx, [...touched].toSorted());
      const keys = new Set(endpoints.map(keyOf));
      for (const row of known) {
        if (keys.has(`${row.network_id}/${row.container_id}`)) continue;
        await trx
          .deleteFrom('overlay_endpoints')
          .where('network_id', '=', row.network_id)
          .where('container_id', '=', row.container_id)
          .execute();
      }
      const had = new Set(known.map((row) => `${row.network_id}/${row.container_id}`));
      const refused: OverlayEndpoint[] = [];
      for (const endpoint of endpoints) {
        if (had.has(keyOf(endpoint))) await this.#rename(trx, worker, endpoint);
        else if (!(await this.#restore(trx, worker, endpoint))) refused.push(endpoint);
      }
      return refused;
    });
  }

  /** A worker that was removed from the pool has no endpoints, whosever networks they were on. */
  async forgetWorker(worker: string): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const gone = await trx
        .deleteFrom('overlay_endpoints')
        .where('worker', '=', worker)
        .returning('network_id')
        .execute();
      await trx.deleteFrom('overlay_workers').where('worker', '=', worker).execute();
      await this.#touch(trx, [...new Set(gone.map((row) => row.network_id))].toSorted());
    });
  }

  /** Networks by their IDs, with all who are on them. Those that are no more are left out. */
  async states(ids: readonly string[]): Promise<OverlayState[]> {
    if (ids.length === 0) return [];
    const networks = await this.#db
      .selectFrom('overlay_networks')
      .select(['id', 'network', 'revision'])
      .where('id', 'in', ids)
      .where('tenant', '=', this.#tenant)
      .orderBy('id')
      .execute();
    const rows = await this.#db
      .selectFrom('overlay_endpoints')
      .innerJoin('overlay_workers', 'overlay_workers.worker', 'overlay_endpoints.worker')
      .leftJoin('workers', 'workers.name', 'overlay_endpoints.worker')
      .selectAll('overlay_endpoints')
      .select([
        'overlay_workers.address',
        'overlay_workers.public_key',
        'overlay_workers.wireguard_port',
        'workers.state',
      ])
      .where('network_id', 'in', ids)
      .orderBy('container_id')
      .execute();
    const byNetwork = Map.groupBy(rows, (row) => row.network_id);
    return networks.map(({ id, network, revision }) => {
      const own = byNetwork.get(id) ?? [];
      const peers = new Map(own.map((row) => [row.worker, peerOf(row)]));
      return {
        network: parseNetwork(network),
        revision: Number(revision),
        endpoints: own.map((row) => ({ ...endpointOf(row), isAway: row.state === 'lost' })),
        peers: [...peers.values()].toSorted((a, b) => (a.worker < b.worker ? -1 : 1)),
      };
    });
  }

  /** Where a worker is reached; undefined as long as it has not said so. */
  async addressOf(worker: string): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom('overlay_workers')
      .select('address')
      .where('worker', '=', worker)
      .executeTakeFirst();
    return row?.address;
  }

  async #rename(trx: PoolDatabase, worker: string, endpoint: OverlayEndpoint): Promise<void> {
    await trx
      .updateTable('overlay_endpoints')
      .set({ container_name: endpoint.containerName, names: JSON.stringify(endpoint.names) })
      .where('network_id', '=', endpoint.networkId)
      .where('container_id', '=', endpoint.containerId)
      .where('worker', '=', worker)
      .execute();
  }

  /** The row of a network is what joins wait for: it says where to look next. */
  async #hold(trx: PoolDatabase, id: string): Promise<{ network: Network; last: number }> {
    const row = await trx
      .updateTable('overlay_networks')
      .set({ revision: sql<number>`revision + 1` })
      .where('id', '=', id)
      .where('tenant', '=', this.#tenant)
      .returning(['network', 'last_address'])
      .executeTakeFirst();
    if (!row) throw notFound(`network ${id} not found`);
    return { network: parseNetwork(row.network), last: Number(row.last_address) };
  }

  async #touch(trx: PoolDatabase, ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      await trx
        .updateTable('overlay_networks')
        .set({ revision: sql<number>`revision + 1` })
        .where('id', '=', id)
        .execute();
    }
    await announceOverlays(trx);
  }

  async #takeExactly(trx: PoolDatabase, network: Network, address: string): Promise<string> {
    const subnet = parseSubnet(subnetOf(network, 4)!.subnet);
    if (!contains(subnet, address) || addressToNumber(address) === subnet.first) {
      throw invalid(`invalid address ${address}: It does not belong to any of this network's subnets`);
    }
    const isTaken = (await this.#takenOf(trx, network.id, [address])).size > 0;
    if (isTaken || isReserved(network, address)) throw conflict('Address already in use');
    return address;
  }

  async #take(trx: PoolDatabase, network: Network, last: number): Promise<string> {
    const config = subnetOf(network, 4)!;
    const [subnet, range] = [parseSubnet(config.subnet), parseSubnet(config.ipRange ?? config.subnet)];
    const edge = subnet.prefixLength >= 31 ? 0n : 1n;
    const first = Number(range.first > subnet.first ? range.first : subnet.first + edge);
    const end = Number(min(lastAddress(range), lastAddress(subnet) - edge));
    const size = end - first + 1;
    for (let tried = 0; tried < size; tried += AT_ONCE) {
      const candidates = Array.from({ length: Math.min(AT_ONCE, size - tried) }, (_, index) => {
        const number = first + ((last - first + 1 + tried + index) % size);
        return numberToAddress(BigInt(number), 4);
      });
      const taken = await this.#takenOf(trx, network.id, candidates);
      const free = candidates.find((address) => !taken.has(address) && !isReserved(network, address));
      if (free === undefined) continue;
      await trx
        .updateTable('overlay_networks')
        .set({ last_address: Number(addressToNumber(free)) })
        .where('id', '=', network.id)
        .execute();
      return free;
    }
    throw unavailable(`no available addresses on this network's address pools: ${config.subnet}`);
  }

  async #takenOf(trx: PoolDatabase, id: string, addresses: readonly string[]): Promise<Set<string>> {
    const rows = await trx
      .selectFrom('overlay_endpoints')
      .select('ipv4_address')
      .where('network_id', '=', id)
      .where('ipv4_address', 'in', addresses)
      .execute();
    return new Set(rows.map((row) => row.ipv4_address));
  }

  /** False when that cannot be: the network is gone, or somebody else has the address. */
  async #restore(trx: PoolDatabase, worker: string, endpoint: OverlayEndpoint): Promise<boolean> {
    const network = await trx
      .selectFrom('overlay_networks')
      .select('id')
      .where('id', '=', endpoint.networkId)
      .where('tenant', '=', this.#tenant)
      .executeTakeFirst();
    if (!network) return false;
    const result = await trx
      .insertInto('overlay_endpoints')
      .values(rowOf(worker, endpoint))
      .onConflict((onConflict) => onConflict.doNothing())
      .executeTakeFirst();
    return result.numInsertedOrUpdatedRows === 1n;
  }
}

function rowOf(worker: string, endpoint: OverlayEndpoint): OverlayEndpointsTable {
  return {
    network_id: endpoint.networkId,
    container_id: endpoint.containerId,
    worker,
    endpoint_id: endpoint.endpointId,
    container_name: endpoint.containerName,
    ipv4_address: endpoint.ipv4Address,
    mac_address: endpoint.macAddress,
    names: JSON.stringify(endpoint.names),
  };
}

function endpointOf(row: Selectable<OverlayEndpointsTable>): Omit<PooledEndpoint, 'isAway'> {
  return {
    networkId: row.network_id,
    containerId: row.container_id,
    worker: row.worker,
    endpointId: row.endpoint_id,
    containerName: row.container_name,
    ipv4Address: row.ipv4_address,
    macAddress: row.mac_address,
    names: JSON.parse(row.names),
  };
}

function peerOf(row: {
  worker: string;
  address: string;
  public_key: string | null;
  wireguard_port: number | null;
}): OverlayPeer {
  return {
    worker: row.worker,
    address: row.address,
    publicKey: row.public_key,
    wireguardPort: row.wireguard_port,
  };
}

const keyOf = ({ networkId, containerId }: OverlayEndpoint) => `${networkId}/${containerId}`;
const min = (a: bigint, b: bigint) => (a < b ? a : b);
