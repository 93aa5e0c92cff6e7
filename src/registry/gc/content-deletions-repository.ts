import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';

/** How long whoever took locations has for deleting them, in milliseconds; then another may. */
const LEASE = 5 * 60_000;
/** In milliseconds. */
const LONGEST_PAUSE = 60 * 60_000;

/** The locations of content to delete. */
export class ContentDeletionsRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /**
   * Takes up to `limit` locations that are due. What a blob or an upload is at after all (a push whose answer was
   * lost) is taken off the list instead.
   */
  async take(limit: number): Promise<string[]> {
    return await inTransaction(this.#db, async (trx) => {
      const rows = await trx
        .selectFrom('gc_locations')
        .select('location')
        .where('delete_after', '<=', databaseNow(trx))
        .orderBy('delete_after')
        .limit(limit)
        .forUpdate()
        .skipLocked()
        .execute();
      const due = rows.map(({ location }) => location);
      if (due.length === 0) return [];
      const owned = await ownedOf(trx, due);
      if (owned.size > 0)
        await trx
          .deleteFrom('gc_locations')
          .where('location', 'in', [...owned])
          .execute();
      const taken = due.filter((location) => !owned.has(location));
      if (taken.length === 0) return [];
      await trx
        .updateTable('gc_locations')
        .set((location) => ({
          delete_after: sql<number>`${databaseNow(trx)} + ${sql.lit(LEASE)}`,
          attempts: location('attempts', '+', 1),
        }))
        .where('location', 'in', taken)
        .execute();
      return taken;
    });
  }

  async done(locations: readonly string[]): Promise<void> {
    if (locations.length === 0) return;
    await this.#db.deleteFrom('gc_locations').where('location', 'in', locations).execute();
  }

  /** Has those that could not be deleted tried again, after longer and longer pauses. */
  async failed(locations: readonly string[]): Promise<void> {
    if (locations.length === 0) return;
    const attempts = sql`case when attempts > 12 then 12 else attempts end`;
    const pause = sql<number>`1000 * (1 << (${attempts}))`;
    const bounded = sql<number>`case when ${pause} > ${sql.lit(LONGEST_PAUSE)} then ${sql.lit(LONGEST_PAUSE)} else ${pause} end`;
    await this.#db
      .updateTable('gc_locations')
      .set({ delete_after: sql<number>`${databaseNow(this.#db)} + ${bounded}` })
      .where('location', 'in', locations)
      .execute();
  }
}

async function ownedOf(trx: RegistryDatabase, locations: readonly string[]): Promise<Set<string>> {
  const rows = await trx
    .selectFrom('blobs')
    .select('location')
    .where('location', 'in', locations)
    .union(trx.selectFrom('uploads').select('location').where('location', 'in', locations))
    .execute();
  return new Set(rows.map(({ location }) => location));
}
