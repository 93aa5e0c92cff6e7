import { sql } from 'kysely';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';

/** How many rows of a namespace are worth adding up. */
const WORTHWHILE = 16;
/** How many rows one transaction adds up. */
const BATCH = 500;

/** Adds up the changes of what namespaces use, so that reading a sum stays cheap. */
export class UsageCompactionRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async compact(): Promise<void> {
    const namespaces = await this.#db
      .selectFrom('namespace_usage')
      .select('namespace')
      .groupBy('namespace')
      .having(sql<number>`count(*)`, '>', WORTHWHILE)
      .execute();
    for (const { namespace } of namespaces) while ((await this.#addUp(namespace)) === BATCH);
  }

  /** Those that another process adds up at the moment, and those that are not committed, are left for the next time. */
  async #addUp(namespace: string): Promise<number> {
    return await inTransaction(this.#db, async (trx) => {
      const rows = await trx
        .selectFrom('namespace_usage')
        .select(['id', 'bytes'])
        .where('namespace', '=', namespace)
        .orderBy('id')
        .limit(BATCH)
        .forUpdate()
        .skipLocked()
        .execute();
      if (rows.length < 2) return 0;
      const ids = rows.map(({ id }) => id);
      const bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
      await trx.deleteFrom('namespace_usage').where('id', 'in', ids).execute();
      await trx.insertInto('namespace_usage').values({ namespace, bytes }).execute();
      return rows.length;
    });
  }
}
