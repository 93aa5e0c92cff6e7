import type { Kysely, Selectable } from 'kysely';
import type { BuildTables } from '#database/worker/build-schema.ts';

export type HistoryRow = Selectable<BuildTables['build_history']>;

/** The rows of builds. */
export class HistoryRepository {
  readonly #db: Kysely<BuildTables>;

  constructor(db: Kysely<BuildTables>) {
    this.#db = db;
  }

  /** The newest first. */
  list(limit?: number): Promise<HistoryRow[]> {
    const rows = this.#db
      .selectFrom('build_history')
      .selectAll()
      .orderBy('created_at', 'desc')
      .orderBy('ref');
    return (limit === undefined ? rows : rows.limit(limit)).execute();
  }

  find(ref: string): Promise<HistoryRow | undefined> {
    return this.#db.selectFrom('build_history').selectAll().where('ref', '=', ref).executeTakeFirst();
  }

  async save(row: HistoryRow): Promise<void> {
    const { ref, ...values } = row;
    await this.#db
      .insertInto('build_history')
      .values(row)
      .onConflict((conflict) => conflict.column('ref').doUpdateSet(values))
      .execute();
  }

  async pin(ref: string, pinned: boolean): Promise<void> {
    await this.#db
      .updateTable('build_history')
      .set({ pinned: pinned ? 1 : 0 })
      .where('ref', '=', ref)
      .execute();
  }

  async delete(ref: string): Promise<void> {
    await this.#db.deleteFrom('build_history').where('ref', '=', ref).execute();
  }
}
