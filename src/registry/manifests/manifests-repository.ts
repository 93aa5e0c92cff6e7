import { type PreparedQuery, prepare } from '#database/prepared.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { notFound } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import type { Actor, NewEvent } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';
import { ensureRepository } from '../repositories/repositories-repository.ts';
import type { ManifestDocument } from './manifest-document.ts';

export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Byte for byte as it was pushed. */
  readonly payload: Uint8Array;
}

/** How many rows or parameters one statement takes. */
const BATCH = 500;

export class ManifestsRepository {
  readonly #db: RegistryDatabase;
  readonly #byDigest: PreparedQuery<{ repository: string; digest: string }, StoredManifest>;
  readonly #byTag: PreparedQuery<{ repository: string; tag: string }, StoredManifest>;

  constructor(db: RegistryDatabase) {
    this.#db = db;
    const manifests = db
      .selectFrom('repositories')
      .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
      .select(['manifests.digest', 'manifests.media_type as mediaType', 'manifests.payload'])
      .$castTo<StoredManifest>();
    this.#byDigest = prepare(db, (parameter) =>
      manifests
        .where('repositories.name', '=', parameter('repository'))
        .where('manifests.digest', '=', parameter('digest')),
    );
    this.#byTag = prepare(db, (parameter) =>
      manifests
        .innerJoin('tags', (join) =>
          join
            .onRef('tags.repository_id', '=', 'repositories.id')
            .onRef('tags.manifest', '=', 'manifests.digest'),
        )
        .where('repositories.name', '=', parameter('repository'))
        .where('tags.name', '=', parameter('tag')),
    );
  }

  async findByDigest(repository: RepositoryName, digest: Digest): Promise<StoredManifest | undefined> {
    return (await this.#byDigest({ repository, digest }))[0];
  }

  async findByTag(repository: RepositoryName, tag: Tag): Promise<StoredManifest | undefined> {
    return (await this.#byTag({ repository, tag }))[0];
  }

  /**
   * Stores a manifest, what it refers to and its tags in one step. Throws `not-found`, `MANIFEST_BLOB_UNKNOWN`,
   * when the repository lacks one of its blobs.
   */
  async put(
    manifest: {
      repository: RepositoryName;
      digest: Digest;
      payload: Uint8Array;
      document: ManifestDocument;
      tags: readonly Tag[];
    },
    actor: Actor,
  ): Promise<void> {
    const { digest, payload, document } = manifest;
    const now = Date.now();
    await this.#db.transaction().execute(async (trx) => {
      const repository = await ensureRepository(trx, manifest.repository, now);
      await requireBlobs(trx, repository, document.blobs);
      const inserted = await trx
        .insertInto('manifests')
        .values({
          repository_id: repository,
          digest,
          media_type: document.mediaType,
          payload,
          created_at: now,
        })
        .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing())
        .executeTakeFirst();
      if (inserted.numInsertedOrUpdatedRows === 1n) {
        await addReferences(trx, repository, digest, document);
        await addReferrer(trx, repository, digest, payload.length, document);
      }
      for (const tag of manifest.tags) await setTag(trx, repository, tag, digest, now);
      await recordEvents(trx, actor, pushEvents(manifest));
    });
  }

  /** Removes a manifest with its tags; false when it was not there. */
  async delete(repository: RepositoryName, digest: Digest, actor: Actor): Promise<boolean> {
    return await this.#db.transaction().execute(async (trx) => {
      const result = await trx
        .deleteFrom('manifests')
        .where('digest', '=', digest)
        .where('repository_id', '=', (from) =>
          from.selectFrom('repositories').select('id').where('name', '=', repository),
        )
        .executeTakeFirst();
      if (result.numDeletedRows === 0n) return false;
      await recordEvents(trx, actor, [{ action: 'manifest.delete', repository, digest }]);
      return true;
    });
  }
}

/** One for each tag: who listens wants to know what a tag means now. */
function pushEvents(manifest: {
  repository: RepositoryName;
  digest: Digest;
  payload: Uint8Array;
  document: ManifestDocument;
  tags: readonly Tag[];
}): NewEvent[] {
  const { repository, digest, payload, document, tags } = manifest;
  return (tags.length > 0 ? tags : [undefined]).map((tag) => ({
    action: 'manifest.push',
    repository,
    digest,
    tag,
    mediaType: document.mediaType,
    size: payload.length,
  }));
}

async function requireBlobs(
  trx: RegistryDatabase,
  repository: number,
  digests: readonly Digest[],
): Promise<void> {
  const missing = new Set(digests);
  for (const batch of batches([...missing])) {
    const rows = await trx
      .selectFrom('repository_blobs')
      .select('digest')
      .where('repository_id', '=', repository)
      .where('digest', 'in', batch)
      .execute();
    for (const { digest } of rows) missing.delete(digest as Digest);
  }
  if (missing.size === 0) return;
  const [digest] = missing;
  throw notFound('manifest references blobs unknown to registry', {
    code: 'MANIFEST_BLOB_UNKNOWN',
    detail: { digest, missing: missing.size },
  });
}

async function addReferences(
  trx: RegistryDatabase,
  repository: number,
  manifest: Digest,
  document: ManifestDocument,
): Promise<void> {
  const references = [
    ...[...new Set(document.blobs)].map((digest) => ({ kind: 'blob' as const, digest })),
    ...[...new Set(document.manifests)].map((digest) => ({ kind: 'manifest' as const, digest })),
  ];
  for (const batch of batches(references)) {
    const rows = batch.map((reference) => ({ repository_id: repository, manifest, ...reference }));
    await trx.insertInto('manifest_references').values(rows).execute();
  }
}

async function addReferrer(
  trx: RegistryDatabase,
  repository: number,
  digest: Digest,
  size: number,
  { subject, mediaType, artifactType, annotations }: ManifestDocument,
): Promise<void> {
  if (!subject) return;
  const descriptor = JSON.stringify({ mediaType, digest, size, artifactType, annotations });
  await trx
    .insertInto('referrers')
    .values({ repository_id: repository, subject, digest, artifact_type: artifactType ?? null, descriptor })
    .execute();
}

async function setTag(
  trx: RegistryDatabase,
  repository: number,
  name: Tag,
  manifest: Digest,
  now: number,
): Promise<void> {
  await trx
    .insertInto('tags')
    .values({ repository_id: repository, name, manifest, updated_at: now })
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'name']).doUpdateSet({ manifest, updated_at: now }),
    )
    .execute();
}

function* batches<T>(items: readonly T[]): Generator<T[]> {
  for (let start = 0; start < items.length; start += BATCH) yield items.slice(start, start + BATCH);
}
