import { type Kysely, sql } from 'kysely';
import type { ImageTables } from '#database/worker/images-schema.ts';
import { conflict, notFound } from '#errors/errors.ts';
import type { SnapshotInfo, SnapshotKind } from './snapshotter.ts';

export interface SnapshotRow {
  readonly id: number;
  readonly key: string;
  readonly kind: SnapshotKind;
  readonly parentId: number | null;
  /** Names the directory that holds its files; its own id unless it was grafted. */
  readonly directory: number;
}

/** The `snapshots` table: which snapshots exist, and what stands on what. */
export class SnapshotRepository {
  readonly #db: Kysely<ImageTables>;

  constructor(db: Kysely<ImageTables>) {
    this.#db = db;
  }

  /** Throws `not-found`. */
  async get(key: string): Promise<SnapshotRow> {
    const row = await this.find(key);
    if (!row) throw notFound(`no such snapshot: ${key}`);
    return row;
  }

  async find(key: string): Promise<SnapshotRow | undefined> {
    const row = await this.#db
      .selectFrom('snapshots')
      .select(['id', 'key', 'kind', 'parent_id', 'directory_id'])
      .where('key', '=', key)
      .executeTakeFirst();
    if (!row) return undefined;
    const { id, kind, parent_id: parentId, directory_id: directory } = row;
    return { id, key, kind, parentId, directory: directory ?? id };
  }

  async info(key: string): Promise<SnapshotInfo | undefined> {
    for await (const info of this.#infos(key)) return info;
    return undefined;
  }

  walk(): AsyncIterable<SnapshotInfo> {
    return this.#infos();
  }

  /** The directories of a snapshot, its own first, then what it stands on down to the bottom. */
  async chain(id: number): Promise<number[]> {
    const { rows } = await sql<{ id: number }>`
      with recursive chain (id, parent_id, directory_id, depth) as (
        select id, parent_id, directory_id, 0 from snapshots where id = ${id}
        union all
        select s.id, s.parent_id, s.directory_id, chain.depth + 1
          from snapshots s join chain on s.id = chain.parent_id
      ) select coalesce(directory_id, id) as id from chain order by depth`.execute(this.#db);
    return rows.map((row) => row.id);
  }

  /** Throws `conflict` for a key that is taken. */
  async insert(row: Omit<SnapshotRow, 'kind'> & { kind?: SnapshotKind }): Promise<void> {
    const result = await this.#db
      .insertInto('snapshots')
      .values({
        id: row.id,
        key: row.key,
        kind: row.kind ?? 'active',
        parent_id: row.parentId,
        directory_id: row.directory === row.id ? null : row.directory,
        created_at: new Date().toISOString(),
        bytes: null,
        inodes: null,
      })
      .onConflict((on) => on.column('key').doNothing())
      .executeTakeFirst();
    if (result.numInsertedOrUpdatedRows === 0n) throw conflict(`snapshot ${row.key} already exists`);
  }

  /** Throws `conflict` when `name` is taken, `not-found` when `id` is no active snapshot. */
  async commit(id: number, name: string, parentId: number | null): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      const taken = await trx.selectFrom('snapshots').select('id').where('key', '=', name).executeTakeFirst();
      if (taken) throw conflict(`snapshot ${name} already exists`);
      const { numUpdatedRows } = await trx
        .updateTable('snapshots')
        .set({ key: name, kind: 'committed', parent_id: parentId })
        .where('id', '=', id)
        .where('kind', '=', 'active')
        .executeTakeFirst();
      if (numUpdatedRows === 0n) throw notFound(`no such active snapshot: ${id}`);
    });
  }

  /** Answers whether nobody has its directory any more. Throws `conflict` while another snapshot stands on it. */
  async delete({ id, directory }: Pick<SnapshotRow, 'id' | 'directory'>): Promise<boolean> {
    return this.#db.transaction().execute(async (trx) => {
      const child = await trx
        .selectFrom('snapshots')
        .select('key')
        .where('parent_id', '=', id)
        .executeTakeFirst();
      if (child) throw conflict(`snapshot has dependents: ${child.key} stands on it`);
      await trx.deleteFrom('snapshots').where('id', '=', id).execute();
      const other = await trx
        .selectFrom('snapshots')
        .select('id')
        .where((row) => row.or([row('id', '=', directory), row('directory_id', '=', directory)]))
        .executeTakeFirst();
      return other === undefined;
    });
  }

  async usage(id: number): Promise<{ bytes: number; inodes: number } | undefined> {
    const row = await this.#db
      .selectFrom('snapshots')
      .select(['bytes', 'inodes'])
      .where('id', '=', id)
      .executeTakeFirst();
    return row?.bytes == null || row.inodes == null ? undefined : { bytes: row.bytes, inodes: row.inodes };
  }

  async recordUsage(id: number, usage: { bytes: number; inodes: number }): Promise<void> {
    await this.#db.updateTable('snapshots').set(usage).where('id', '=', id).execute();
  }

  /** Every snapshot's id, and the directory that it has. */
  async directories(): Promise<Map<number, number>> {
    const rows = await this.#db.selectFrom('snapshots').select(['id', 'directory_id']).execute();
    return new Map(rows.map((row) => [row.id, row.directory_id ?? row.id]));
  }

  /** Removes rows without directories, and all that stands on them, for nothing of it can be mounted. */
  async deleteWithDescendants(ids: readonly number[]): Promise<void> {
    if (ids.length === 0) return;
    await sql`
      with recursive doomed (id) as (
        select id from snapshots where id in (${sql.join(ids)})
        union
        select s.id from snapshots s join doomed on s.parent_id = doomed.id
      ) delete from snapshots where id in (select id from doomed)`.execute(this.#db);
  }

  async *#infos(key?: string): AsyncGenerator<SnapshotInfo> {
    let query = this.#db
      .selectFrom('snapshots as s')
      .leftJoin('snapshots as p', 'p.id', 's.parent_id')
      .select(['s.key', 's.kind', 's.created_at', 'p.key as parent'])
      .orderBy('s.id');
    if (key !== undefined) query = query.where('s.key', '=', key);
    for (const row of await query.execute()) {
      yield {
        key: row.key,
        kind: row.kind,
        parent: row.parent ?? undefined,
        createdAt: new Date(row.created_at),
      };
    }
  }
}
