import { type Kysely, type Selectable, sql } from 'kysely';
import type { ImageTables } from '#database/worker/images-schema.ts';
import type { Digest } from '#oci/digest.ts';
import type { LayerRow } from './layer-repository.ts';
import { keepAsImage } from './step-image-repository.ts';

export interface ImageRow {
  readonly id: Digest;
  readonly rawConfig: Uint8Array;
  readonly parent: Digest | undefined;
}

export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly payload: Uint8Array;
}

export interface ImageName {
  readonly name: string;
  readonly imageId: Digest;
  readonly taggedAt: string;
  /** Of what is stated of it, as of `StatementRepository`. */
  readonly statements: Digest | undefined;
}

export interface RepositoryDigest {
  /** Full: `docker.io/library/busybox`. */
  readonly repository: string;
  readonly digest: Digest;
  readonly imageId: Digest;
}

/** The tables of images: configurations, their names and digests, and who uses them. */
export class ImageRepository {
  readonly #db: Kysely<ImageTables>;

  constructor(db: Kysely<ImageTables>) {
    this.#db = db;
  }

  async find(id: Digest): Promise<ImageRow | undefined> {
    const row = await this.#db.selectFrom('images').selectAll().where('id', '=', id).executeTakeFirst();
    return row && toImage(row);
  }

  async all(): Promise<ImageRow[]> {
    return (await this.#db.selectFrom('images').selectAll().execute()).map(toImage);
  }

  /** Up to two, which is enough to know that a prefix is ambiguous. */
  async findByPrefix(hexPrefix: string): Promise<Digest[]> {
    const rows = await this.#db
      .selectFrom('images')
      .select('id')
      .where('id', '>=', `sha256:${hexPrefix}`)
      .where('id', '<', `sha256:${hexPrefix}g`)
      .limit(2)
      .execute();
    return rows.map((row) => row.id as Digest);
  }

  /**
   * Idempotent. `layers` bottom first; they must be in the table of layers, or this fails. `step`: it is only what a step of
   * a build has left, unless it is here for its own sake.
   */
  async insert(
    image: ImageRow,
    layers: readonly { chainId: Digest; diffId: Digest }[],
    { step = false }: { step?: boolean | undefined } = {},
  ): Promise<void> {
    const now = new Date().toISOString();
    await this.#db.transaction().execute(async (trx) => {
      const { numInsertedOrUpdatedRows } = await trx
        .insertInto('images')
        .values({
          id: image.id,
          config: image.rawConfig,
          parent: image.parent ?? null,
          created_at: now,
          step_used_at: step ? now : null,
        })
        .onConflict((on) => on.doNothing())
        .executeTakeFirst();
      if (numInsertedOrUpdatedRows === 0n && !step) await keepAsImage(trx, image.id);
      if (numInsertedOrUpdatedRows === 0n || layers.length === 0) return;
      const rows = layers.map(({ chainId, diffId }, position) => ({
        image_id: image.id,
        position,
        chain_id: chainId,
        diff_id: diffId,
      }));
      await trx.insertInto('image_layers').values(rows).execute();
    });
  }

  /** With its names, digests and manifests. Those who use it keep its layers: `top` is the uppermost one. */
  async delete(id: Digest, top: Digest | undefined): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      const users = await trx.selectFrom('image_users').select('user').where('image_id', '=', id).execute();
      if (top !== undefined && users.length > 0) {
        await trx
          .insertInto('layer_users')
          .values(users.map(({ user }) => ({ chain_id: top, user })))
          .onConflict((on) => on.doNothing())
          .execute();
      }
      await trx.deleteFrom('image_names').where('image_id', '=', id).execute();
      await trx.deleteFrom('image_users').where('image_id', '=', id).execute();
      await trx.deleteFrom('images').where('id', '=', id).execute();
    });
  }

  async children(id: Digest): Promise<Digest[]> {
    const rows = await this.#db.selectFrom('images').select('id').where('parent', '=', id).execute();
    return rows.map((row) => row.id as Digest);
  }

  async imageNamed(name: string): Promise<Digest | undefined> {
    return (await this.named(name))?.imageId;
  }

  async named(name: string): Promise<ImageName | undefined> {
    const row = await this.#db
      .selectFrom('image_names')
      .selectAll()
      .where('name', '=', name)
      .executeTakeFirst();
    return row && toName(row);
  }

  /** `index`: the name stands for what that says of the image, too, if that is kept here. */
  async setName(name: string, imageId: Digest, index?: Digest): Promise<void> {
    const tagged_at = new Date().toISOString();
    const kept = this.#db
      .selectFrom('image_statements')
      .select('index_digest')
      .where('index_digest', '=', index ?? '')
      .where('image_id', '=', imageId)
      .limit(1);
    const row = { image_id: imageId, tagged_at, statements_index: kept };
    await this.#db
      .insertInto('image_names')
      .values({ name, ...row })
      .onConflict((on) => on.column('name').doUpdateSet(row))
      .execute();
  }

  async deleteName(name: string): Promise<void> {
    await this.#db.deleteFrom('image_names').where('name', '=', name).execute();
  }

  async names(imageId?: Digest): Promise<ImageName[]> {
    let query = this.#db.selectFrom('image_names').selectAll().orderBy('name');
    if (imageId !== undefined) query = query.where('image_id', '=', imageId);
    return (await query.execute()).map(toName);
  }

  async imageWithDigest(repository: string, digest: Digest): Promise<Digest | undefined> {
    const row = await this.#db
      .selectFrom('image_digests')
      .select('image_id')
      .where('repository', '=', repository)
      .where('digest', '=', digest)
      .executeTakeFirst();
    return row?.image_id as Digest | undefined;
  }

  async setDigest(repository: string, digest: Digest, imageId: Digest): Promise<void> {
    await this.#db
      .insertInto('image_digests')
      .values({ repository, digest, image_id: imageId })
      .onConflict((on) => on.columns(['repository', 'digest']).doUpdateSet({ image_id: imageId }))
      .execute();
  }

  async deleteDigest(repository: string, digest: Digest): Promise<void> {
    await this.#db
      .deleteFrom('image_digests')
      .where('repository', '=', repository)
      .where('digest', '=', digest)
      .execute();
  }

  async digests(imageId?: Digest): Promise<RepositoryDigest[]> {
    let query = this.#db.selectFrom('image_digests').selectAll().orderBy('repository').orderBy('digest');
    if (imageId !== undefined) query = query.where('image_id', '=', imageId);
    return (await query.execute()).map((row) => ({
      repository: row.repository,
      digest: row.digest as Digest,
      imageId: row.image_id as Digest,
    }));
  }

  async saveManifest(imageId: Digest, manifest: StoredManifest): Promise<void> {
    await this.#db
      .insertInto('image_manifests')
      .values({
        digest: manifest.digest,
        image_id: imageId,
        media_type: manifest.mediaType,
        payload: manifest.payload,
      })
      .onConflict((on) => on.doNothing())
      .execute();
  }

  async manifests(imageId: Digest): Promise<StoredManifest[]> {
    const rows = await this.#db
      .selectFrom('image_manifests')
      .selectAll()
      .where('image_id', '=', imageId)
      .orderBy('digest')
      .execute();
    return rows.map((row) => ({
      digest: row.digest as Digest,
      mediaType: row.media_type,
      payload: row.payload,
    }));
  }

  async retain(imageId: Digest, user: string): Promise<void> {
    await this.#db
      .insertInto('image_users')
      .values({ image_id: imageId, user })
      .onConflict((on) => on.doNothing())
      .execute();
  }

  async release(imageId: Digest, user: string): Promise<void> {
    await this.#db
      .deleteFrom('image_users')
      .where('image_id', '=', imageId)
      .where('user', '=', user)
      .execute();
  }

  async users(imageId?: Digest): Promise<{ imageId: Digest; user: string }[]> {
    let query = this.#db.selectFrom('image_users').selectAll().orderBy('user');
    if (imageId !== undefined) query = query.where('image_id', '=', imageId);
    return (await query.execute()).map((row) => ({ imageId: row.image_id as Digest, user: row.user }));
  }

  /** Bytes of an image's layers, by image: all of them, and those that other images have too. */
  async sizes(): Promise<Map<Digest, { total: number; shared: number }>> {
    const { rows } = await sql<{ image_id: Digest; total: number; shared: number }>`
      with uses (chain_id, count) as (select chain_id, count(*) from image_layers group by chain_id)
      select image_id, sum(bytes) as total, sum(iif(count > 1, bytes, 0)) as shared
      from image_layers join layers using (chain_id) join uses using (chain_id)
      group by image_id`.execute(this.#db);
    return new Map(rows.map(({ image_id, total, shared }) => [image_id, { total, shared }]));
  }

  /** An image's layers, bottom first. */
  async layers(imageId: Digest): Promise<LayerRow[]> {
    const rows = await this.#db
      .selectFrom('image_layers')
      .innerJoin('layers', 'layers.chain_id', 'image_layers.chain_id')
      .select(['layers.chain_id', 'layers.diff_id', 'layers.bytes', 'layers.tar_bytes'])
      .where('image_id', '=', imageId)
      .orderBy('position')
      .execute();
    return rows.map((row) => ({
      chainId: row.chain_id as Digest,
      diffId: row.diff_id as Digest,
      bytes: row.bytes,
      tarBytes: row.tar_bytes,
    }));
  }
}

function toName(row: Selectable<ImageTables['image_names']>): ImageName {
  return {
    name: row.name,
    imageId: row.image_id as Digest,
    taggedAt: row.tagged_at,
    statements: (row.statements_index ?? undefined) as Digest | undefined,
  };
}

function toImage(row: Selectable<ImageTables['images']>): ImageRow {
  return {
    id: row.id as Digest,
    rawConfig: row.config,
    parent: (row.parent ?? undefined) as Digest | undefined,
  };
}
