import { type Kysely, type Selectable, sql } from 'kysely';
import type { ImageTables } from '#database/worker/images-schema.ts';
import { notFound } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';

export interface LayerRow {
  readonly chainId: Digest;
  readonly diffId: Digest;
  /** Of file content. */
  readonly bytes: number;
  /** Of the layer's uncompressed tar. */
  readonly tarBytes: number;
}

/** A blob in the content store that holds a layer's tar, compressed or not. */
export interface LayerBlob {
  readonly digest: Digest;
  readonly diffId: Digest;
  readonly mediaType: string;
  readonly size: number;
  /** In the content store. */
  readonly location: string;
}

/** The tables of layers: which are here, who holds them, and which blobs they are stored as. */
export class LayerRepository {
  readonly #db: Kysely<ImageTables>;

  constructor(db: Kysely<ImageTables>) {
    this.#db = db;
  }

  async find(chainId: Digest): Promise<LayerRow | undefined> {
    const row = await this.#db
      .selectFrom('layers')
      .selectAll()
      .where('chain_id', '=', chainId)
      .executeTakeFirst();
    return row && toLayer(row);
  }

  /** A layer with these changes, in whichever stack. */
  async findByDiff(diffId: Digest): Promise<LayerRow | undefined> {
    const row = await this.#db
      .selectFrom('layers')
      .selectAll()
      .where('diff_id', '=', diffId)
      .executeTakeFirst();
    return row && toLayer(row);
  }

  async all(): Promise<LayerRow[]> {
    const rows = await this.#db.selectFrom('layers').selectAll().execute();
    return rows.map(toLayer);
  }

  /** Idempotent. */
  async insert(layer: LayerRow, options: { user?: string } = {}): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      await trx
        .insertInto('layers')
        .values({
          chain_id: layer.chainId,
          diff_id: layer.diffId,
          bytes: layer.bytes,
          tar_bytes: layer.tarBytes,
        })
        .onConflict((on) => on.doNothing())
        .execute();
      if (options.user !== undefined) await hold(trx, layer.chainId, options.user);
    });
  }

  /** Throws `not-found`. */
  async retain(chainId: Digest, user: string): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      const row = await trx
        .selectFrom('layers')
        .select('chain_id')
        .where('chain_id', '=', chainId)
        .executeTakeFirst();
      if (!row) throw notFound(`no such layer: ${chainId}`);
      await hold(trx, chainId, user);
    });
  }

  async users(prefix: string): Promise<{ chainId: Digest; user: string }[]> {
    const rows = await this.#db.selectFrom('layer_users').selectAll().execute();
    return rows
      .filter((row) => row.user.startsWith(prefix))
      .map((row) => ({ chainId: row.chain_id as Digest, user: row.user }));
  }

  /** The layers that a user holds. */
  async heldBy(user: string): Promise<Digest[]> {
    const rows = await this.#db
      .selectFrom('layer_users')
      .select('chain_id')
      .where('user', '=', user)
      .execute();
    return rows.map((row) => row.chain_id as Digest);
  }

  async release(chainId: Digest, user: string): Promise<void> {
    await this.#db
      .deleteFrom('layer_users')
      .where('chain_id', '=', chainId)
      .where('user', '=', user)
      .execute();
  }

  /** Forgets a layer that no image, user or snapshot stands on; answers whether it did. */
  async deleteUnused(chainId: Digest): Promise<boolean> {
    const { numAffectedRows } = await sql`
      delete from layers where chain_id = ${chainId}
        and not exists (select 1 from image_layers where chain_id = ${chainId})
        and not exists (select 1 from layer_users where chain_id = ${chainId})
        and not exists (
          select 1 from snapshots s join snapshots p on p.id = s.parent_id where p.key = ${chainId}
        )`.execute(this.#db);
    return numAffectedRows === 1n;
  }

  async blobsOf(diffId: Digest): Promise<LayerBlob[]> {
    const rows = await this.#db
      .selectFrom('layer_blobs')
      .selectAll()
      .where('diff_id', '=', diffId)
      .orderBy('digest')
      .execute();
    return rows.map(toBlob);
  }

  /** Drops layers whose files are lost, and the images that stood on them, so that a pull brings them again. */
  async forget(chainIds: readonly Digest[]): Promise<void> {
    if (chainIds.length === 0) return;
    await this.#db.transaction().execute(async (trx) => {
      const images = trx.selectFrom('image_layers').select('image_id').where('chain_id', 'in', chainIds);
      await trx.deleteFrom('image_names').where('image_id', 'in', images).execute();
      await trx.deleteFrom('image_users').where('image_id', 'in', images).execute();
      await trx.deleteFrom('images').where('id', 'in', images).execute();
      await trx.deleteFrom('layer_users').where('chain_id', 'in', chainIds).execute();
      await trx.deleteFrom('layers').where('chain_id', 'in', chainIds).execute();
    });
  }

  async blob(digest: Digest): Promise<LayerBlob | undefined> {
    const row = await this.#db
      .selectFrom('layer_blobs')
      .selectAll()
      .where('digest', '=', digest)
      .executeTakeFirst();
    return row && toBlob(row);
  }

  async recordBlob(blob: LayerBlob): Promise<void> {
    await this.#db
      .insertInto('layer_blobs')
      .values({
        digest: blob.digest,
        diff_id: blob.diffId,
        media_type: blob.mediaType,
        size: blob.size,
        location: blob.location,
      })
      .onConflict((on) => on.doNothing())
      .execute();
  }

  async deleteBlob(digest: Digest): Promise<void> {
    await this.#db.deleteFrom('layer_blobs').where('digest', '=', digest).execute();
  }

  /** Forgets the blobs of a diff ID that no layer has any more, and answers them. */
  async deleteUnusedBlobs(diffId: Digest): Promise<LayerBlob[]> {
    const rows = await this.#db
      .deleteFrom('layer_blobs')
      .where('diff_id', '=', diffId)
      .where(({ not, exists, selectFrom }) =>
        not(exists(selectFrom('layers').select('chain_id').where('diff_id', '=', diffId))),
      )
      .returningAll()
      .execute();
    return rows.map(toBlob);
  }

  async blobLocations(): Promise<Set<string>> {
    const rows = await this.#db.selectFrom('layer_blobs').select('location').execute();
    return new Set(rows.map((row) => row.location));
  }

  /** Remembers that a repository has a blob; a push to the same registry may then mount it. */
  async recordOrigin(digest: Digest, domain: string, repository: string): Promise<void> {
    const seen_at = new Date().toISOString();
    await this.#db
      .insertInto('blob_origins')
      .values({ digest, domain, repository, seen_at })
      .onConflict((on) => on.columns(['digest', 'domain', 'repository']).doUpdateSet({ seen_at }))
      .execute();
  }

  /** Repositories of a registry that had the blob, the last seen first. */
  async originsOf(digest: Digest, domain: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('blob_origins')
      .select('repository')
      .where('digest', '=', digest)
      .where('domain', '=', domain)
      .orderBy('seen_at', 'desc')
      .limit(4)
      .execute();
    return rows.map((row) => row.repository);
  }
}

async function hold(db: Kysely<ImageTables>, chainId: Digest, user: string): Promise<void> {
  await db
    .insertInto('layer_users')
    .values({ chain_id: chainId, user })
    .onConflict((on) => on.doNothing())
    .execute();
}

function toLayer(row: Selectable<ImageTables['layers']>): LayerRow {
  return {
    chainId: row.chain_id as Digest,
    diffId: row.diff_id as Digest,
    bytes: row.bytes,
    tarBytes: row.tar_bytes,
  };
}

function toBlob(row: Selectable<ImageTables['layer_blobs']>): LayerBlob {
  return {
    digest: row.digest as Digest,
    diffId: row.diff_id as Digest,
    mediaType: row.media_type,
    size: row.size,
    location: row.location,
  };
}
