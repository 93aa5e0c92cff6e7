import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { conflict, forbidden } from '#errors/errors.ts';
import { addressToNumber } from '#worker/networks/ip/address.ts';
import { parseSubnet } from '#worker/networks/ip/subnet.ts';
import { type Network, subnetOf } from '#worker/networks/network.ts';
import { overlayOptions } from '#worker/networks/overlay/overlay-options.ts';
import { announceOverlays } from './announcements-repository.ts';

/** The worker that `placements` says for what is the pool's own. */
export const POOL_ITSELF = '';

/** The networks that reach over all workers: their names, numbers and subnets. */
export class OverlayNetworksRepository {
  readonly #db: PoolDatabase;
  readonly #tenant: string;

  constructor(db: PoolDatabase, tenant = '') {
    this.#db = db;
    this.#tenant = tenant;
  }

  /**
   * Adds the network that `plan` makes of all others and the next free number, one at a time in the whole pool. Throws
   * `conflict` for a name or a number that is taken, `forbidden` when a tenant has as many as it may, and what `plan` throws.
   */
  async create(
    plan: (others: readonly Network[], vni: number) => Network,
    { most = null }: { most?: number | null } = {},
  ): Promise<Network> {
    return await inTransaction(this.#db, async (trx) => {
      const { next_vni } = await trx
        .updateTable('overlay_lock')
        .set({ next_vni: sql<number>`next_vni + 1` })
        .where('id', '=', 1)
        .returning('next_vni')
        .executeTakeFirstOrThrow();
      const rows = await trx.selectFrom('overlay_networks').select(['network', 'vni', 'tenant']).execute();
      const own = rows.filter(({ tenant }) => tenant === this.#tenant);
      if (most !== null && own.length >= most) {
        throw forbidden(`your tenant's policy does not allow more than ${most} overlay networks`);
      }
      const network = plan(
        rows.map((row) => parseNetwork(row.network)),
        next_vni - 1,
      );
      const { vni } = overlayOptions(network);
      if (rows.some((row) => row.vni === vni)) throw conflict(`VXLAN ID ${vni} is another network's`);
      const named = await trx
        .insertInto('placements')
        .values({
          tenant: this.#tenant,
          kind: 'network',
          name: network.name,
          object_id: network.id,
          worker: POOL_ITSELF,
          project: null,
          used: 1,
          created_at: databaseNow(trx),
        })
        .onConflict((onConflict) => onConflict.doNothing())
        .executeTakeFirst();
      if (named.numInsertedOrUpdatedRows !== 1n) {
        throw conflict(`network with name ${network.name} already exists`);
      }
      const range = subnetOf(network, 4)!;
      await trx
        .insertInto('overlay_networks')
        .values({
          id: network.id,
          tenant: this.#tenant,
          vni,
          network: JSON.stringify(network),
          revision: 0,
          last_address: Number(parseSubnet(range.ipRange ?? range.subnet).first),
          created_at: databaseNow(trx),
        })
        .execute();
      return network;
    });
  }

  async find(id: string): Promise<Network | undefined> {
    const row = await this.#db
      .selectFrom('overlay_networks')
      .select('network')
      .where('id', '=', id)
      .where('tenant', '=', this.#tenant)
      .executeTakeFirst();
    return row && parseNetwork(row.network);
  }

  async list(): Promise<Network[]> {
    const rows = await this.#db
      .selectFrom('overlay_networks')
      .select('network')
      .where('tenant', '=', this.#tenant)
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    return rows.map((row) => parseNetwork(row.network));
  }

  /** Those that nobody is on. */
  async unused(): Promise<Network[]> {
    const rows = await this.#db
      .selectFrom('overlay_networks')
      .select('network')
      .where('tenant', '=', this.#tenant)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('overlay_endpoints')
              .select('network_id')
              .whereRef('network_id', '=', 'overlay_networks.id'),
          ),
        ),
      )
      .orderBy('id')
      .execute();
    return rows.map((row) => parseNetwork(row.network));
  }

  /** Throws `forbidden` when somebody is on it. Not there is no error. */
  remove({ id, name }: Network): Promise<void> {
    return inTransaction(this.#db, async (trx) => {
      // Whoever joins waits for this, and finds no network then.
      await trx
        .updateTable('overlay_networks')
        .set({ revision: sql<number>`revision + 1` })
        .where('id', '=', id)
        .execute();
      const user = await trx
        .selectFrom('overlay_endpoints')
        .select(['container_name', 'worker'])
        .where('network_id', '=', id)
        .executeTakeFirst();
      if (user) {
        throw forbidden(
          `error while removing network: network ${name} has active endpoints (name:"${user.container_name}" on worker ${user.worker})`,
        );
      }
      await trx.deleteFrom('overlay_networks').where('id', '=', id).execute();
      await trx.deleteFrom('placements').where('kind', '=', 'network').where('object_id', '=', id).execute();
      await announceOverlays(trx);
    });
  }
}

export function parseNetwork(text: string): Network {
  const network = JSON.parse(text) as Network;
  return { ...network, createdAt: new Date(network.createdAt) };
}

/** Whether nobody may have an address: the gateway's, and those that were set aside. */
export function isReserved(network: Network, address: string): boolean {
  const config = subnetOf(network, 4)!;
  const spoken = [config.gateway, ...Object.values(config.auxiliaryAddresses ?? {})];
  return spoken.some((each) => each !== undefined && addressToNumber(each) === addressToNumber(address));
}
