import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';

/** A container that starts may have a port for so long, in milliseconds, before it is looked whether it runs. */
const STARTING = 60_000;

/** A port of all gateways. */
export interface PublicPort {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
}

export interface PortHolder {
  readonly container: string;
  readonly worker: string;
  /** Whose it is; '': the operator's. */
  readonly tenant: string;
  /** It is being started. */
  readonly isStarting: boolean;
}

/** Which container has which port of the gateways: the last one that was started with it, as long as it runs. */
export class PortClaimsRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** Takes a port that nobody has, or that `former` had; answers who has it otherwise. */
  async claim(
    { protocol, port }: PublicPort,
    { container, worker, tenant }: Pick<PortHolder, 'container' | 'worker' | 'tenant'>,
    former?: PortHolder,
  ): Promise<PortHolder | undefined> {
    const now = databaseNow(this.#db);
    const taken = { container_id: container, worker, tenant, starting_at: now };
    const result = await this.#db
      .insertInto('published_ports')
      .values({ protocol, port, ...taken })
      .onConflict((conflict) =>
        conflict
          .columns(['protocol', 'port'])
          .doUpdateSet(taken)
          .where('published_ports.container_id', 'in', [container, former?.container ?? container]),
      )
      .executeTakeFirst();
    if ((result.numInsertedOrUpdatedRows ?? 0n) > 0n) return undefined;
    const row = await this.#db
      .selectFrom('published_ports')
      .select(['container_id', 'worker', 'tenant', sql<number>`${now} - starting_at`.as('age')])
      .where('protocol', '=', protocol)
      .where('port', '=', port)
      .executeTakeFirst();
    if (!row) return await this.claim({ protocol, port }, { container, worker, tenant });
    const isStarting = row.age !== null && Number(row.age) < STARTING;
    return { container: row.container_id, worker: row.worker, tenant: row.tenant, isStarting };
  }

  /** It runs: from now on it has its ports for as long as it does. */
  async started(container: string): Promise<void> {
    await this.#db
      .updateTable('published_ports')
      .set({ starting_at: null })
      .where('container_id', '=', container)
      .execute();
  }

  async release(container: string): Promise<void> {
    await this.#db.deleteFrom('published_ports').where('container_id', '=', container).execute();
  }
}
