import { Semaphore } from '#async/semaphore.ts';
import { isKind } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { BlobsRepository } from '../blobs/blobs-repository.ts';
import { parseManifestDocument } from '../manifests/manifest-document.ts';
import type { ManifestReference, Manifests } from '../manifests/manifests.ts';
import type { StoredManifest } from '../manifests/manifests-repository.ts';
import type { Referrers } from '../referrers/referrers.ts';
import { isReplicated, type ReplicationRule, targetName } from './replication-rule.ts';

/** Indexes in indexes, and signatures of signatures, are followed so far. */
const MAX_DEPTH = 8;
/** How many blobs of an image are on their way at once. */
const BLOBS_AT_ONCE = 3;
/** In how many other repositories of the target a blob is asked for before it is uploaded. */
const MOUNT_SOURCES = 3;
/** A tag that moves while it is copied is copied again so often. */
const MAX_MOVES = 5;

/** What a replication came to. */
export interface Replicated {
  manifests: number;
  /** Blobs that were uploaded, and those that the target had or took over from another repository. */
  uploaded: number;
  present: number;
}

interface Job {
  readonly rule: ReplicationRule;
  readonly repository: RepositoryName;
  readonly to: RepositoryName;
  readonly signal: AbortSignal;
  readonly done: Replicated;
  readonly seen: Set<Digest>;
}

/**
 * Makes a target have what is here: a tag or manifest as it is now, whatever it was when the replication was asked for.
 * Parts of an index and referrers come along. What the target has is not sent again.
 */
export class Replicator {
  readonly #manifests: Manifests;
  readonly #blobs: Blobs;
  readonly #stored: BlobsRepository;
  readonly #referrers: Referrers;

  constructor(ports: {
    manifests: Manifests;
    blobs: Blobs;
    stored: BlobsRepository;
    referrers: Referrers;
  }) {
    this.#manifests = ports.manifests;
    this.#blobs = ports.blobs;
    this.#stored = ports.stored;
    this.#referrers = ports.referrers;
  }

  /** Undefined when there is no such tag or manifest here any more. Throws what the target throws. */
  async replicate(
    rule: ReplicationRule,
    repository: RepositoryName,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<Replicated | undefined> {
    const done: Replicated = { manifests: 0, uploaded: 0, present: 0 };
    const job = { rule, repository, to: targetName(rule, repository), signal, done, seen: new Set<Digest>() };
    for (let moves = 0; moves < MAX_MOVES; moves++) {
      const manifest = await this.#find(repository, reference);
      if (!manifest) return moves === 0 ? undefined : done;
      await this.#copy(job, manifest, 0);
      if (!('tag' in reference)) return done;
      const there = await rule.target.resolve(job.to, reference.tag, { signal });
      if (there !== manifest.digest)
        await rule.target.putManifest(job.to, reference.tag, manifest, { signal });
      const now = await this.#find(repository, reference);
      if (now?.digest === manifest.digest) return done;
    }
    return done;
  }

  /** Deletes there what is not here; false when it was not there, or is here. */
  async remove(
    rule: ReplicationRule,
    repository: RepositoryName,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (await this.#find(repository, reference)) return false;
    const text: Tag | Digest = 'tag' in reference ? reference.tag : reference.digest;
    return await rule.target.deleteManifest(targetName(rule, repository), text, { signal });
  }

  async #copy(job: Job, manifest: StoredManifest, depth: number): Promise<void> {
    const { digest, mediaType, payload } = manifest;
    if (job.seen.has(digest) || depth > MAX_DEPTH) return;
    job.seen.add(digest);
    const { rule, to, signal, repository } = job;
    // One that is there came after all of its parts.
    if ((await rule.target.resolve(to, digest, { signal })) === undefined) {
      const document = parseManifestDocument(payload, mediaType);
      for (const part of document.manifests) {
        const found = await this.#find(repository, { digest: part });
        if (found) await this.#copy(job, found, depth + 1);
      }
      await this.#copyBlobs(job, document.blobs);
      await rule.target.putManifest(to, digest, manifest, { signal });
      job.done.manifests++;
    }
    await this.#copyReferrers(job, digest, depth);
  }

  async #copyReferrers(job: Job, subject: Digest, depth: number): Promise<void> {
    for (let last: string | undefined; ; ) {
      const { descriptors, more } = await this.#referrers.list(job.repository, subject, { last });
      for (const { digest } of descriptors) {
        const found = await this.#find(job.repository, { digest });
        if (found) await this.#copy(job, found, depth + 1);
      }
      last = descriptors.at(-1)?.digest;
      if (!more || last === undefined) return;
    }
  }

  async #copyBlobs(job: Job, digests: readonly Digest[]): Promise<void> {
    const slots = new Semaphore(BLOBS_AT_ONCE);
    const failed = new AbortController();
    const signal = AbortSignal.any([job.signal, failed.signal]);
    const copies = [...new Set(digests)].map((digest) =>
      slots
        .run(() => this.#copyBlob({ ...job, signal }, digest))
        .catch((error: unknown) => {
          // The others are of no use now; the first failure is the one to be told.
          if (!failed.signal.aborted) failed.abort(error);
        }),
    );
    await Promise.all(copies);
    failed.signal.throwIfAborted();
  }

  async #copyBlob({ rule, repository, to, signal, done }: Job, digest: Digest): Promise<void> {
    signal.throwIfAborted();
    const { target } = rule;
    if (await target.hasBlob(to, digest, { signal })) {
      done.present++;
      return;
    }
    for (const name of await this.#stored.seenBy(digest, { limit: MOUNT_SOURCES })) {
      if (name === repository || !isReplicated(rule, name)) continue;
      const from = targetName(rule, name as RepositoryName);
      if (!(await target.mountBlob(to, digest, { from, signal }))) continue;
      done.present++;
      return;
    }
    const blob = await this.#blobs.get(repository, digest);
    await target.putBlob(to, { digest, size: blob.size, open: () => blob.open() }, { signal });
    done.uploaded++;
  }

  async #find(repository: RepositoryName, reference: ManifestReference): Promise<StoredManifest | undefined> {
    return await this.#manifests.get(repository, reference).catch((error: unknown) => {
      if (isKind(error, 'not-found')) return undefined;
      throw error;
    });
  }
}
