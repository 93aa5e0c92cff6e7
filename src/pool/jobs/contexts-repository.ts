import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';

export interface StoredContext {
  readonly digest: string;
  readonly tenant: string;
  readonly size: number;
  readonly location: string;
}

/** Archives that clients have sent for builds. */
export class ContextsRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** Where it is now: an earlier one of the same digest stays. */
  async add(context: StoredContext): Promise<string> {
    const used_at = databaseNow(this.#db);
    const row = await this.#db
      .insertInto('job_contexts')
      .values({ ...context, used_at })
      .onConflict((conflict) => conflict.columns(['tenant', 'digest']).doUpdateSet({ used_at }))
      .returning('location')
      .executeTakeFirstOrThrow();
    return row.location;
  }

  async find(tenant: string, digest: string): Promise<StoredContext | undefined> {
    return await this.#db
      .updateTable('job_contexts')
      .set({ used_at: databaseNow(this.#db) })
      .where('tenant', '=', tenant)
      .where('digest', '=', digest)
      .returning(['digest', 'tenant', 'size', 'location'])
      .executeTakeFirst();
  }

  /** Forgets what nobody has used since `moment`; where it was. */
  async removeUnused(moment: number): Promise<string[]> {
    const rows = await this.#db
      .deleteFrom('job_contexts')
      .where('used_at', '<', moment)
      .returning('location')
      .execute();
    return rows.map(({ location }) => location);
  }
}
