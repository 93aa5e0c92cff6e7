import { type Kysely, sql } from 'kysely';
import type { ImageTables } from '#database/worker/images-schema.ts';
import type { Digest } from '#oci/digest.ts';

/** An image that a step of a build has left, and that has no name. */
export interface StepImageRow {
  readonly id: Digest;
  readonly parent: Digest | undefined;
  readonly createdAt: Date;
  readonly usedAt: Date;
  /** By containers, or by images that are no steps and were built on it. */
  readonly inUse: boolean;
  /** Layers that only such images have, bottom first. */
  readonly layers: readonly { readonly chainId: Digest; readonly bytes: number }[];
}

/** Nobody has named these. */
const NAMELESS = sql`
  step_used_at is not null
  and not exists (select 1 from image_names where image_id = images.id)
  and not exists (select 1 from image_digests where image_id = images.id)`;

/** It is here for its own sake from now on. */
export async function keepAsImage(db: Kysely<ImageTables>, id: Digest): Promise<void> {
  await db.updateTable('images').set({ step_used_at: null }).where('id', '=', id).execute();
}

/** Images that steps of classic builds leave: they may go when nothing needs them. */
export class StepImageRepository {
  readonly #db: Kysely<ImageTables>;

  constructor(db: Kysely<ImageTables>) {
    this.#db = db;
  }

  /** A build came by it once more. */
  async touch(id: Digest): Promise<void> {
    await this.#db
      .updateTable('images')
      .set({ step_used_at: new Date().toISOString() })
      .where('id', '=', id)
      .where('step_used_at', 'is not', null)
      .execute();
  }

  /** It is what a build was for. */
  keep(id: Digest): Promise<void> {
    return keepAsImage(this.#db, id);
  }

  async all(): Promise<StepImageRow[]> {
    const images = await sql<{
      id: Digest;
      parent: Digest | null;
      created_at: string;
      step_used_at: string;
      used: number;
    }>`
      with steps as (select * from images where ${NAMELESS})
      select id, parent, created_at, step_used_at,
        exists (select 1 from image_users where image_id = steps.id)
        or exists (select 1 from images child where child.parent = steps.id
          and child.id not in (select id from steps)) as used
      from steps`.execute(this.#db);
    const layers = await sql<{ image_id: Digest; chain_id: Digest; bytes: number }>`
      with steps as (select id from images where ${NAMELESS})
      select image_id, chain_id, bytes from image_layers one join layers using (chain_id)
      where image_id in (select id from steps)
        and not exists (select 1 from layer_users where chain_id = one.chain_id)
        and not exists (select 1 from image_layers other where other.chain_id = one.chain_id
          and other.image_id not in (select id from steps))
      order by image_id, position`.execute(this.#db);
    const byImage = Map.groupBy(layers.rows, (row) => row.image_id);
    return images.rows.map((row) => ({
      id: row.id,
      parent: row.parent ?? undefined,
      createdAt: new Date(row.created_at),
      usedAt: new Date(row.step_used_at),
      inUse: row.used === 1,
      layers: (byImage.get(row.id) ?? []).map(({ chain_id, bytes }) => ({ chainId: chain_id, bytes })),
    }));
  }

  /** Answers whether it went: nobody has named it, uses it, or has built on it. */
  async delete(id: Digest): Promise<boolean> {
    const { numAffectedRows } = await sql`
      delete from images where id = ${id} and ${NAMELESS}
        and not exists (select 1 from image_users where image_id = images.id)
        and not exists (select 1 from images child where child.parent = images.id)`.execute(this.#db);
    return numAffectedRows === 1n;
  }
}
