import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { admit } from './admission-repository.ts';
import { lockTenant } from './tenant-row.ts';

/** Not the column itself: SQLite would read all jobs, by tenant, to name each once. */
const TENANT = sql<string>`tenant || ''`.as('tenant');

/** Jobs that wait for a time. */
export class DueRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** Lets all go on whose time has come; how many there were. */
  async release(): Promise<number> {
    const tenants = await this.#db
      .selectFrom('jobs')
      .select(TENANT)
      .distinct()
      .where('state', '=', sql.lit('delayed'))
      .where('due_at', '<=', databaseNow(this.#db))
      .execute();
    let count = 0;
    for (const { tenant } of tenants) count += await this.#releaseOf(tenant);
    return count;
  }

  /** Lets what is held go on for which there is room: where a tenant's limits changed, nobody may have looked. */
  async admitHeld(): Promise<void> {
    const tenants = await this.#db
      .selectFrom('jobs')
      .select(TENANT)
      .distinct()
      .where('state', '=', sql.lit('held'))
      .execute();
    for (const { tenant } of tenants) {
      await inTransaction(this.#db, async (trx) => admit(trx, await lockTenant(trx, tenant)));
    }
  }

  #releaseOf(name: string): Promise<number> {
    return inTransaction(this.#db, async (trx) => {
      const tenant = await lockTenant(trx, name);
      const result = await trx
        .updateTable('jobs')
        .set({ state: 'held', due_at: null })
        .where('tenant', '=', name)
        .where('state', '=', sql.lit('delayed'))
        .where('due_at', '<=', databaseNow(trx))
        .executeTakeFirst();
      await admit(trx, tenant);
      return Number(result.numUpdatedRows);
    });
  }
}
