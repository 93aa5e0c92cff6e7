import type { Kysely, Selectable } from 'kysely';
import type { BuildTables } from '#database/worker/build-schema.ts';

export type CacheRow = Selectable<BuildTables['build_cache']>;

/** The build cache's rows. */
export class BuildCacheRepository {
  readonly #db: Kysely<BuildTables>;

  constructor(db: Kysely<BuildTables>) {
    this.#db = db;
  }

  find(key: string): Promise<CacheRow | undefined> {
    return this.#db
      .selectFrom('build_cache_keys')
      .innerJoin('build_cache', 'build_cache.id', 'build_cache_keys.record_id')
      .selectAll('build_cache')
      .where('key', '=', key)
      .executeTakeFirst();
  }

  all(): Promise<CacheRow[]> {
    return this.#db.selectFrom('build_cache').selectAll().execute();
  }

  async used(ids: readonly string[], at: string): Promise<void> {
    if (ids.length === 0) return;
    await this.#db
      .updateTable('build_cache')
      .set((row) => ({ last_used_at: at, usage_count: row('usage_count', '+', 1) }))
      .where('id', 'in', [...ids])
      .execute();
  }

  /** Adds a row and points keys at it; answers the rows that have no key any more, and are gone. */
  save(row: CacheRow, keys: readonly string[]): Promise<CacheRow[]> {
    return this.#db.transaction().execute(async (trx) => {
      const before = await trx
        .selectFrom('build_cache_keys')
        .select('record_id')
        .where('key', 'in', [...keys])
        .execute();
      await trx.insertInto('build_cache').values(row).execute();
      for (const key of keys) {
        await trx
          .insertInto('build_cache_keys')
          .values({ key, record_id: row.id })
          .onConflict((conflict) => conflict.column('key').doUpdateSet({ record_id: row.id }))
          .execute();
      }
      if (before.length === 0) return [];
      return trx
        .deleteFrom('build_cache')
        .where(
          'id',
          'in',
          before.map(({ record_id }) => record_id),
        )
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(selectFrom('build_cache_keys').select('key').whereRef('record_id', '=', 'build_cache.id')),
          ),
        )
        .returningAll()
        .execute();
    });
  }

  async delete(id: string): Promise<void> {
    await this.#db.deleteFrom('build_cache').where('id', '=', id).execute();
  }
}
