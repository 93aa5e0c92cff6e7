import type { Kysely, Selectable } from 'kysely';
import type { BuildTables } from '#database/worker/build-schema.ts';
import type { Digest } from '#oci/digest.ts';

export type HistoryRow = Selectable<BuildTables['build_history']>;
export type DocumentRow = Selectable<BuildTables['build_documents']>;

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

  /** The newest first; those behind `after`. */
  page(limit: number, after?: { createdAt: Date; ref: string }): Promise<HistoryRow[]> {
    const rows = this.#db
      .selectFrom('build_history')
      .selectAll()
      .orderBy('created_at', 'desc')
      .orderBy('ref')
      .limit(limit);
    if (!after) return rows.execute();
    const at = after.createdAt.toISOString();
    return rows
      .where(({ and, eb, or }) =>
        or([eb('created_at', '<', at), and([eb('created_at', '=', at), eb('ref', '>', after.ref)])]),
      )
      .execute();
  }

  find(ref: string): Promise<HistoryRow | undefined> {
    return this.#db.selectFrom('build_history').selectAll().where('ref', '=', ref).executeTakeFirst();
  }

  async save(row: HistoryRow): Promise<void> {
    await saveRow(this.#db, row);
  }

  /** Saves a build that has ended, with its documents in place of those of an earlier one of its name. */
  async saveEnded(row: HistoryRow, documents: readonly Omit<DocumentRow, 'ref'>[]): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      await saveRow(trx, row);
      await trx.deleteFrom('build_documents').where('ref', '=', row.ref).execute();
      if (documents.length === 0) return;
      const rows = documents.map((document) => ({ ...document, ref: row.ref }));
      await trx.insertInto('build_documents').values(rows).execute();
    });
  }

  findDocument(digest: string): Promise<DocumentRow | undefined> {
    return this.#db
      .selectFrom('build_documents')
      .selectAll()
      .where('digest', '=', digest)
      .limit(1)
      .executeTakeFirst();
  }

  async listDocuments(): Promise<{ digest: Digest; size: number }[]> {
    const rows = await this.#db
      .selectFrom('build_documents')
      .select(['digest', 'size'])
      .groupBy('digest')
      .execute();
    return rows as { digest: Digest; size: number }[];
  }

  /** The files that documents are in. */
  async documentFiles(ref?: string): Promise<string[]> {
    const files = this.#db.selectFrom('build_documents').select('file').distinct();
    const found = await (ref === undefined ? files : files.where('ref', '=', ref)).execute();
    return found.map(({ file }) => file);
  }

  /** Builds that are over and may be forgotten, the newest first, with what their logs and documents take. */
  async forgettable(): Promise<{ ref: string; completedAt: string; bytes: number }[]> {
    const rows = await this.#db
      .selectFrom('build_history as build')
      .leftJoin('build_documents as document', 'document.ref', 'build.ref')
      .select(({ fn }) => ['build.ref', 'completed_at', 'log_bytes', fn.sum('document.size').as('documents')])
      .where('pinned', '=', 0)
      .where('completed_at', 'is not', null)
      .groupBy('build.ref')
      .orderBy('created_at', 'desc')
      .orderBy('build.ref')
      .execute();
    return rows.map(({ ref, completed_at, log_bytes, documents }) => ({
      ref,
      completedAt: completed_at!,
      bytes: log_bytes + Number(documents ?? 0),
    }));
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

async function saveRow(db: Kysely<BuildTables>, row: HistoryRow): Promise<void> {
  const { ref, ...values } = row;
  await db
    .insertInto('build_history')
    .values(row)
    .onConflict((conflict) => conflict.column('ref').doUpdateSet(values))
    .execute();
}
