import { type Kysely, sql } from 'kysely';
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

/** Of an image's statements that no name stands for, those of so many builds stay, to be found by their index. */
const KEPT_NAMELESS = 8;

/**
 * What is stated of images that were built here: how they were made and what is in them. Builds of one and the same image
 * state different things, so it goes by the digest of the index that a build has made. It goes with its image at last.
 */
export class StatementRepository {
  readonly #db: Kysely<ImageTables>;

  constructor(db: Kysely<ImageTables>) {
    this.#db = db;
  }

  async of(index: Digest): Promise<ImageStatements | undefined> {
    const rows = await this.#db
      .selectFrom('image_statements')
      .selectAll()
      .where('index_digest', '=', index)
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
    const [root] = kept('index');
    return root && { blobs: kept('blob'), manifests: kept('manifest'), index: root };
  }

  /** Those of the image's earlier builds that nobody has named since may go. */
  async add(imageId: Digest, { blobs, manifests, index }: ImageStatements): Promise<void> {
    const entries: [Kind, StoredManifest][] = [
      ...blobs.map((one): [Kind, StoredManifest] => ['blob', one]),
      ...manifests.map((one): [Kind, StoredManifest] => ['manifest', one]),
      ['index', index],
    ];
    await this.#db.transaction().execute(async (trx) => {
      for (const [position, [kind, { digest, mediaType, payload }]] of entries.entries()) {
        const row = { kind, digest, media_type: mediaType, payload };
        await trx
          .insertInto('image_statements')
          .values({ index_digest: index.digest, position, image_id: imageId, ...row })
          .onConflict((on) => on.doNothing())
          .execute();
      }
      const nameless = trx
        .selectFrom('image_statements')
        .select('index_digest')
        .where('image_id', '=', imageId)
        .where('kind', '=', 'index')
        .where('index_digest', '!=', index.digest)
        .where('index_digest', 'not in', (named) =>
          named
            .selectFrom('image_names')
            .select('statements_index')
            .where('image_id', '=', imageId)
            .where('statements_index', 'is not', null)
            .$castTo<{ statements_index: string }>(),
        )
        .orderBy(sql`rowid`, 'desc')
        .limit(-1)
        .offset(KEPT_NAMELESS);
      await trx.deleteFrom('image_statements').where('index_digest', 'in', nameless).execute();
    });
  }

  /** The image whose index has this digest. */
  async imageOf(index: Digest): Promise<Digest | undefined> {
    const row = await this.#db
      .selectFrom('image_statements')
      .select('image_id')
      .where('index_digest', '=', index)
      .executeTakeFirst();
    return row?.image_id as Digest | undefined;
  }
}
