import { sql } from 'kysely';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';

export interface Failures {
  readonly failures: number;
  /** Milliseconds since 1970. */
  readonly lastAt: number;
}

export class LoginThrottleRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async find(keys: readonly string[]): Promise<Map<string, Failures>> {
    const rows = await this.#db.selectFrom('login_failures').selectAll().where('key', 'in', keys).execute();
    return new Map(rows.map((row) => [row.key, { failures: Number(row.failures), lastAt: row.last_at }]));
  }

  /** Counts a failure for each key; counts that ended before `forgotten` begin anew. */
  async add(keys: readonly string[], now: number, forgotten: number): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      await trx.deleteFrom('login_failures').where('last_at', '<', forgotten).execute();
      await trx
        .insertInto('login_failures')
        .values(keys.map((key) => ({ key, failures: 1, last_at: now })))
        .onConflict((conflict) =>
          conflict
            .column('key')
            .doUpdateSet({ failures: sql<number>`login_failures.failures + 1`, last_at: now }),
        )
        .execute();
    });
  }

  async clear(key: string): Promise<void> {
    await this.#db.deleteFrom('login_failures').where('key', '=', key).execute();
  }
}
