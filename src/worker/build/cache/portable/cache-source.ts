import type { Fetcher } from '#distribution/fetcher.ts';
import type { Digest } from '#oci/digest.ts';
import type { BlobFetcher } from '../../solve/ref.ts';

/** Where a cache is imported from: a repository of a registry's, or a content store of a client's. */
export interface CacheSource extends Pick<Fetcher, 'manifest' | 'smallBlob'>, BlobFetcher {
  /** Whether a layer is there, without reading it. */
  hasBlob(digest: Digest, options: { signal: AbortSignal }): Promise<boolean>;
}
