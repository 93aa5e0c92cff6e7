import { type PreparedQuery, prepare } from '#database/prepared.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { notFound, SlipwayError } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import type { Actor, NewEvent } from '../events/event.ts';
import { recordEvents } from '../events/events-repository.ts';
import { postponeReview } from '../gc/review-queues-repository.ts';
import { requireQuota } from '../quotas/quotas-repository.ts';
import { ensureRepository } from '../repositories/repositories-repository.ts';
import { immutablePatterns, requireMutable } from '../retention/immutable-tags-repository.ts';
import type { ManifestDocument } from './manifest-document.ts';
import {
  insertManifestRow,
  insertReferences,
  insertTag,
  lockTag,
  MANY,
  moveTag,
  selectBlobs,
  selectManifests,
} from './manifest-statements-repository.ts';

export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Byte for byte as it was pushed. */
  readonly payload: Uint8Array;
}

export interface NewManifest {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly payload: Uint8Array;
  readonly document: ManifestDocument;
  readonly tags: readonly Tag[];
  /** What one of the tags has to mean beforehand. */
  readonly condition?: TagCondition | undefined;
  /** Whether it may come without its blobs. */
  readonly sparse?: boolean | undefined;
}

/** Decides on the manifest that a tag stands for, undefined when there is no such tag. */
export interface TagCondition {
  readonly tag: Tag;
  holds(current: Digest | undefined): boolean;
}

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
   * when the repository lacks one of its blobs; `conflict` when a tag is immutable and another manifest's; `forbidden`
   * when the namespace is past its quota; `precondition` when a tag is not what it has to be. Returns how many of the
   * blobs and manifests that it names are not in the repository.
   */
  async put(manifest: NewManifest, actor: Actor): Promise<{ missing: number }> {
    return await inTransaction(this.#db, async (trx) => {
      const now = Date.now();
      const { document, digest } = manifest;
      const repository = await ensureRepository(trx, manifest.repository, now);
      await postponeReview(trx, 'gc_manifest_queue', repository, digest);
      const missing =
        (await holdBlobs(trx, repository, document.blobs, manifest.sparse)) +
        (await holdManifests(trx, repository, document.manifests));
      if (await insertManifest(trx, repository, manifest, now)) {
        await addReferences(trx, repository, digest, document);
        await addReferrer(trx, repository, digest, manifest.payload.length, document);
      }
      // In one order for all, so that two pushes with the same tags do not wait for each other in a circle.
      for (const tag of [...manifest.tags].sort())
        await setTag(trx, { ...manifest, id: repository }, tag, now);
      await requireQuota(trx, manifest.repository);
      await recordEvents(trx, actor, pushEvents(manifest));
      return { missing };
    });
  }

  /**
   * Removes a manifest with its tags; false when it was not there. Throws `conflict` when one of them is immutable,
   * unless that is not to matter.
   */
  async delete(
    repository: RepositoryName,
    digest: Digest,
    actor: Actor,
    options: { evenImmutable?: boolean } = {},
  ): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
      if (!options.evenImmutable) await requireMutableTags(trx, repository, digest);
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

/** The manifest's tags, some of which may have come a moment ago, are looked at where there are rules for any. */
async function requireMutableTags(
  trx: RegistryDatabase,
  repository: RepositoryName,
  digest: Digest,
): Promise<void> {
  if ((await immutablePatterns(trx, repository)).length === 0) return;
  const manifest = trx
    .selectFrom('manifests')
    .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
    .select('repository_id')
    .where('repositories.name', '=', repository)
    .where('digest', '=', digest);
  const held = await manifest.forUpdate('manifests').executeTakeFirst();
  if (!held) return;
  const tags = await trx
    .selectFrom('tags')
    .select('name')
    .where('repository_id', '=', held.repository_id)
    .where('manifest', '=', digest)
    .execute();
  await requireMutable(
    trx,
    repository,
    tags.map(({ name }) => name),
  );
}

/** One for each tag: who listens wants to know what a tag means now. */
function pushEvents(manifest: NewManifest): NewEvent[] {
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

/**
 * Holds the links to a manifest's blobs until the transaction ends, so that nobody collects them meanwhile. Returns how
 * many are not there, if that may be.
 */
async function holdBlobs(
  trx: RegistryDatabase,
  repository: number,
  digests: readonly Digest[],
  sparse = false,
): Promise<number> {
  const missing = new Set(digests);
  for (const batch of batches([...missing].sort())) {
    const { rows } = await selectBlobs(batch.length)(trx, { repository, ...batch });
    for (const { digest } of rows) missing.delete(digest as Digest);
  }
  if (sparse || missing.size === 0) return missing.size;
  const [digest] = missing;
  throw notFound('manifest references blobs unknown to registry', {
    code: 'MANIFEST_BLOB_UNKNOWN',
    detail: { digest, missing: missing.size },
  });
}

/**
 * Holds those manifests of an index that are there until the transaction ends: it keeps them from then on. Returns how
 * many are not.
 */
async function holdManifests(
  trx: RegistryDatabase,
  repository: number,
  digests: readonly Digest[],
): Promise<number> {
  const named = new Set(digests);
  let missing = named.size;
  for (const batch of batches([...named].sort())) {
    const { rows } = await selectManifests(batch.length)(trx, { repository, ...batch });
    missing -= rows.length;
  }
  return missing;
}

/** True when it was not there before; then or now, it is held until the transaction ends. */
async function insertManifest(
  trx: RegistryDatabase,
  repository: number,
  { digest, payload, document }: NewManifest,
  now: number,
): Promise<boolean> {
  const { mediaType } = document;
  for (;;) {
    const inserted = await insertManifestRow(trx, { repository, digest, mediaType, payload, now });
    if (inserted.numAffectedRows === 1n) return true;
    const held = await trx
      .selectFrom('manifests')
      .select('digest')
      .where('repository_id', '=', repository)
      .where('digest', '=', digest)
      .forKeyShare()
      .executeTakeFirst();
    // Else it was collected in between.
    if (held) return false;
  }
}

async function addReferences(
  trx: RegistryDatabase,
  repository: number,
  manifest: Digest,
  document: ManifestDocument,
): Promise<void> {
  const references = [
    ...[...new Set([...document.blobs, ...document.foreignBlobs])].map((digest) => ({
      kind: 'blob' as const,
      digest,
    })),
    ...[...new Set(document.manifests)].map((digest) => ({ kind: 'manifest' as const, digest })),
  ];
  for (const batch of batches(references)) {
    const named = batch.flatMap(({ kind, digest }, at) => [
      [`kind${at}`, kind],
      [`digest${at}`, digest],
    ]);
    await insertReferences(batch.length)(trx, { repository, manifest, ...Object.fromEntries(named) });
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

/** Throws `conflict` when the tag is another manifest's and immutable, `precondition` when it is not as expected. */
async function setTag(
  trx: RegistryDatabase,
  { id, repository, digest, condition }: NewManifest & { id: number },
  name: Tag,
  now: number,
): Promise<void> {
  const tag = { repository: id, name, manifest: digest, now };
  for (;;) {
    const made = await insertTag(trx, tag);
    if (made.numAffectedRows === 1n) {
      requireCondition(condition, name, undefined);
      return;
    }
    const [before] = (await lockTag(trx, { repository: id, name })).rows;
    // Else it was deleted in between.
    if (!before) continue;
    requireCondition(condition, name, before.manifest as Digest);
    if (before.manifest !== digest) await requireMutable(trx, repository, [name]);
    await moveTag(trx, tag);
    return;
  }
}

function requireCondition(condition: TagCondition | undefined, tag: Tag, current: Digest | undefined): void {
  if (condition?.tag !== tag || condition.holds(current)) return;
  throw new SlipwayError('precondition', `the tag ${tag} is not what the request expects`, {
    detail: { tag, digest: current },
  });
}

function* batches<T>(items: readonly T[]): Generator<T[]> {
  for (let start = 0; start < items.length; start += MANY) yield items.slice(start, start + MANY);
}
