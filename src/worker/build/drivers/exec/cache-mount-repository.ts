import { type Kysely, type Selectable, sql } from 'kysely';
import type { BuildTables } from '#database/worker/build-schema.ts';

export type CacheMountRow = Selectable<BuildTables['build_cache_mounts']>;

/** The table of directories that RUNs keep. */
export class CacheMountRepository {
  readonly #db: Kysely<BuildTables>;

  constructor(db: Kysely<BuildTables>) {
    this.#db = db;
  }

  async all(): Promise<CacheMountRow[]> {
    return this.#db.selectFrom('build_cache_mounts').selectAll().execute();
  }

  /** The oldest first. */
  async named(name: string): Promise<CacheMountRow[]> {
    return this.#db
      .selectFrom('build_cache_mounts')
      .selectAll()
      .where('name', '=', name)
      .orderBy('created_at')
      .execute();
  }

  async insert(row: { key: string; name: string; description: string }): Promise<void> {
    const now = new Date().toISOString();
    await this.#db
      .insertInto('build_cache_mounts')
      .values({ ...row, bytes: 0, created_at: now, last_used_at: now, usage_count: 0 })
      .execute();
  }

  async used(key: string, bytes: number): Promise<void> {
    await this.#db
      .updateTable('build_cache_mounts')
      .set({ bytes, last_used_at: new Date().toISOString(), usage_count: sql`usage_count + 1` })
      .where('key', '=', key)
      .execute();
  }

  async rename(key: string, name: string): Promise<void> {
    await this.#db.updateTable('build_cache_mounts').set({ name }).where('key', '=', key).execute();
  }

  async delete(key: string): Promise<void> {
    await this.#db.deleteFrom('build_cache_mounts').where('key', '=', key).execute();
  }
}
