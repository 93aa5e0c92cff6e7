import type { Digest } from '#oci/digest.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';

export interface UpstreamManifest {
  readonly mediaType: string;
  readonly payload: Uint8Array;
  /** What the upstream says that it is, if it says so. */
  readonly digest: string | undefined;
}

/** A blob on its way. */
export interface UpstreamBlob {
  /** Of the whole blob in bytes; undefined when the upstream does not say. */
  readonly size: number | undefined;
  /** From the offset on that was asked for. To be read to its end, or left early. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface AskOptions {
  readonly signal: AbortSignal;
}

/**
 * Another registry, as one that content is pulled from. Nothing that it says is verified here. Each call is one attempt,
 * which ends in time whatever the other side does.
 *
 * Throws `not-found`; `unauthorized` and `forbidden` (many registries say so of what does not exist); `too-many`, with
 * `{ retryAfterMs }` in its detail if the upstream said when to come back; `too-large`; `unavailable`; `canceled`.
 */
export interface Upstream {
  /** For people: where it is. */
  readonly name: string;

  /** What a tag stands for, by HEAD; undefined when the upstream does not say. */
  resolve(repository: RepositoryName, tag: Tag, options: AskOptions): Promise<Digest | undefined>;

  /** By tag or digest. */
  manifest(
    repository: RepositoryName,
    reference: Tag | Digest,
    options: AskOptions,
  ): Promise<UpstreamManifest>;

  /** A blob's size, by HEAD; undefined when the upstream does not say. */
  blobSize(repository: RepositoryName, digest: Digest, options: AskOptions): Promise<number | undefined>;

  /** A blob from `offset` on. Its body throws `unavailable` when it breaks off. */
  blob(
    repository: RepositoryName,
    digest: Digest,
    options: AskOptions & { offset: number },
  ): Promise<UpstreamBlob>;
}
