import type { Kysely } from 'kysely';
import type { ImageTables } from '#database/worker/images-schema.ts';
import type { Digest } from '#oci/digest.ts';
import type { StoredManifest } from './image-repository.ts';

/** Statements of an image as registries keep them: what refers to others comes after those, the index last. */
export interface ImageStatements {
  /** Statements, and configurations of their manifests. */
  readonly blobs: readonly StoredManifest[];
  /** Each names its blobs, and what it is of. */
  readonly manifests: readonly StoredManifest[];
  /** Names the image's manifest and the ones above. */
  readonly index: StoredManifest;
}

type Kind = ImageTables['image_statements']['kind'];

/** What is stated of images that were built here: how they were made and what is in them. It goes with its image. */
export class StatementRepository {
  readonly #db: Kysely<ImageTables>;

  constructor(db: Kysely<ImageTables>) {
    this.#db = db;
  }

  async of(imageId: Digest): Promise<ImageStatements | undefined> {
    const rows = await this.#db
      .selectFrom('image_statements')
      .selectAll()
      .where('image_id', '=', imageId)
      .orderBy('position')
      .execute();
    const kept = (kind: Kind) =>
      rows
        .filter((row) => row.kind === kind)
        .map(({ digest, media_type, payload }) => ({
          digest: digest as Digest,
          mediaType: media_type,
          payload,
        }));
    const [index] = kept('index');
    return index && { blobs: kept('blob'), manifests: kept('manifest'), index };
  }

  /** In place of what was stated before; undefined: nothing is. */
  async replace(imageId: Digest, statements: ImageStatements | undefined): Promise<void> {
    const { blobs = [], manifests = [], index } = statements ?? {};
    const entries: [Kind, StoredManifest][] = [
      ...blobs.map((one): [Kind, StoredManifest] => ['blob', one]),
      ...manifests.map((one): [Kind, StoredManifest] => ['manifest', one]),
      ...(index ? [['index', index] as [Kind, StoredManifest]] : []),
    ];
    await this.#db.transaction().execute(async (trx) => {
      await trx.deleteFrom('image_statements').where('image_id', '=', imageId).execute();
      for (const [position, [kind, { digest, mediaType, payload }]] of entries.entries()) {
        const row = { image_id: imageId, position, kind, digest, media_type: mediaType, payload };
        await trx.insertInto('image_statements').values(row).execute();
      }
    });
  }

  /** The image whose index has this digest. */
  async imageOf(index: Digest): Promise<Digest | undefined> {
    const row = await this.#db
      .selectFrom('image_statements')
      .select('image_id')
      .where('digest', '=', index)
      .where('kind', '=', 'index')
      .executeTakeFirst();
    return row?.image_id as Digest | undefined;
  }
}
