import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';

type Kind = 'session' | 'build';

/** Builds, and sessions whose end nobody saw, are forgotten after so many milliseconds. */
const REMEMBERED = 24 * 60 * 60_000;

/** Which worker has the session of a tenant's client, and which build. */
export class BuildHomesRepository {
  readonly #db: PoolDatabase;
  readonly #tenant: string;

  constructor(db: PoolDatabase, tenant = '') {
    this.#db = db;
    this.#tenant = tenant;
  }

  /** Resolves to the worker that it has from now on: the first that was said. */
  async keep(kind: Kind, id: string, worker: string): Promise<string> {
    const now = databaseNow(this.#db);
    await this.#db
      .deleteFrom('build_sessions')
      .where('created_at', '<', sql<number>`${now} - ${REMEMBERED}`)
      .execute();
    await this.#db
      .insertInto('build_sessions')
      .values({ tenant: this.#tenant, kind, id, worker, created_at: now })
      .onConflict((conflict) => conflict.columns(['tenant', 'kind', 'id']).doNothing())
      .execute();
    return (await this.workerOf(kind, id)) ?? worker;
  }

  async workerOf(kind: Kind, id: string): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom('build_sessions')
      .select('worker')
      .where('tenant', '=', this.#tenant)
      .where('kind', '=', kind)
      .where('id', '=', id)
      .executeTakeFirst();
    return row?.worker;
  }

  async end(kind: Kind, id: string): Promise<void> {
    await this.#db
      .deleteFrom('build_sessions')
      .where('tenant', '=', this.#tenant)
      .where('kind', '=', kind)
      .where('id', '=', id)
      .execute();
  }

  /** How many sessions each worker has, whoever's they are. */
  async sessions(): Promise<Map<string, number>> {
    const rows = await this.#db
      .selectFrom('build_sessions')
      .select(['worker', ({ fn }) => fn.countAll<number>().as('count')])
      .where('kind', '=', 'session')
      .groupBy('worker')
      .execute();
    return new Map(rows.map(({ worker, count }) => [worker, Number(count)]));
  }
}
