import type { Digest } from '#oci/digest.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';

export interface PushOptions {
  readonly signal: AbortSignal;
}

/** A blob to be pushed: `open` may be called again for another attempt. */
export interface PushedBlob {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  open(): Promise<AsyncIterable<Uint8Array>>;
}

/**
 * Another registry, as one that content is pushed to. Throws `unauthorized`, `forbidden`, `too-many` (with
 * `{ retryAfterMs }` in its detail if it said when to come back), `invalid`, `unsupported`, `unavailable`, `canceled`.
 */
export interface ReplicationTarget {
  /** What a tag stands for there, or whether a digest is there; undefined for nothing. */
  resolve(
    repository: RepositoryName,
    reference: Tag | Digest,
    options: PushOptions,
  ): Promise<Digest | undefined>;

  hasBlob(repository: RepositoryName, digest: Digest, options: PushOptions): Promise<boolean>;

  /** Asks it to take a blob over from another of its repositories; whether it did. */
  mountBlob(
    repository: RepositoryName,
    digest: Digest,
    options: PushOptions & { from: RepositoryName },
  ): Promise<boolean>;

  putBlob(repository: RepositoryName, blob: PushedBlob, options: PushOptions): Promise<void>;

  putManifest(
    repository: RepositoryName,
    reference: Tag | Digest,
    manifest: { mediaType: string; payload: Uint8Array },
    options: PushOptions,
  ): Promise<void>;

  /** By tag: the tag alone. False when there was none. Throws `unsupported` when it does not do that. */
  deleteManifest(repository: RepositoryName, reference: Tag | Digest, options: PushOptions): Promise<boolean>;
}
