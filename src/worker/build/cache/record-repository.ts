import { type Kysely, type Selectable, sql } from 'kysely';
import type { BuildTables } from '#database/worker/build-schema.ts';

export type RecordRow = Selectable<BuildTables['build_records']>;

/** A statement takes no more variables than that. */
const MAX_KEYS = 500;

/** The rows of the build cache. */
export class RecordRepository {
  readonly #db: Kysely<BuildTables>;

  constructor(db: Kysely<BuildTables>) {
    this.#db = db;
  }

  async find(keys: readonly string[]): Promise<Map<string, RecordRow>> {
    const found = new Map<string, RecordRow>();
    for (let at = 0; at < keys.length; at += MAX_KEYS) {
      const rows = await this.#db
        .selectFrom('build_record_keys')
        .innerJoin('build_records', 'build_records.id', 'build_record_keys.record_id')
        .selectAll('build_records')
        .select('key')
        .where('key', 'in', keys.slice(at, at + MAX_KEYS))
        .execute();
      for (const { key, ...row } of rows) found.set(key, row);
    }
    return found;
  }

  get(id: string): Promise<RecordRow | undefined> {
    return this.#db.selectFrom('build_records').selectAll().where('id', '=', id).executeTakeFirst();
  }

  /** Those that other records have taken the place of, while they were in use. */
  replaced(ids?: readonly string[]): Promise<RecordRow[]> {
    return replaced(this.#db, ids);
  }

  all(): Promise<RecordRow[]> {
    return this.#db.selectFrom('build_records').selectAll().execute();
  }

  /** Steps that are used together grow old together; what was used after `since` is young enough. */
  async touch(ids: readonly string[], at: Date, since: Date): Promise<void> {
    for (let from = 0; from < ids.length; from += MAX_KEYS) {
      await this.#db
        .updateTable('build_records')
        .set({ last_used_at: at.toISOString() })
        .where('id', 'in', ids.slice(from, from + MAX_KEYS))
        .where('last_used_at', '<', since.toISOString())
        .execute();
    }
  }

  async count(id: string, at: Date): Promise<void> {
    await this.#db
      .updateTable('build_records')
      .set((row) => ({ last_used_at: at.toISOString(), usage_count: row('usage_count', '+', 1) }))
      .where('id', '=', id)
      .execute();
  }

  /** Adds a row and points keys at it; answers the rows that have no key any more. */
  save(row: RecordRow, keys: readonly string[]): Promise<RecordRow[]> {
    return this.#db.transaction().execute(async (trx) => {
      await trx.insertInto('build_records').values(row).execute();
      return point(trx, keys, row.id);
    });
  }

  /** Points one more key at a record, if it is there. Answers as `save` does. */
  link(key: string, id: string): Promise<RecordRow[]> {
    return this.#db.transaction().execute(async (trx) => {
      const record = await trx
        .selectFrom('build_records')
        .select('id')
        .where('id', '=', id)
        .executeTakeFirst();
      return record ? point(trx, [key], id) : [];
    });
  }

  /** Those that the registry has yet to get, the oldest first, but for `others`; with their keys. */
  async unsent(
    limit: number,
    others: readonly string[],
  ): Promise<{ row: RecordRow; keys: readonly string[] }[]> {
    const rows = await this.#db
      .selectFrom('build_records')
      .selectAll()
      .where('unsent', '=', 1)
      .orderBy('created_at')
      .limit(limit + others.length)
      .execute();
    const found = rows.filter(({ id }) => !others.includes(id)).slice(0, limit);
    return Promise.all(found.map(async (row) => ({ row, keys: await this.#keysOf(row.id) })));
  }

  async sent(id: string): Promise<void> {
    await this.#db.updateTable('build_records').set({ unsent: 0 }).where('id', '=', id).execute();
  }

  async delete(id: string): Promise<void> {
    await this.#db.deleteFrom('build_records').where('id', '=', id).execute();
  }

  async #keysOf(id: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('build_record_keys')
      .select('key')
      .where('record_id', '=', id)
      .orderBy('key')
      .execute();
    return rows.map(({ key }) => key);
  }
}

async function point(trx: Kysely<BuildTables>, keys: readonly string[], id: string): Promise<RecordRow[]> {
  const before = await trx
    .selectFrom('build_record_keys')
    .select('record_id')
    .where('key', 'in', [...keys])
    .where('record_id', '!=', id)
    .execute();
  for (const key of keys) {
    await trx
      .insertInto('build_record_keys')
      .values({ key, record_id: id })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ record_id: id }))
      .execute();
  }
  return before.length === 0
    ? []
    : replaced(
        trx,
        before.map((row) => row.record_id),
      );
}

function replaced(db: Kysely<BuildTables>, ids?: readonly string[]): Promise<RecordRow[]> {
  const rows = db
    .selectFrom('build_records')
    .selectAll()
    .where(sql<boolean>`not exists (select 1 from build_record_keys where record_id = build_records.id)`);
  return (ids ? rows.where('id', 'in', [...ids]) : rows).execute();
}
