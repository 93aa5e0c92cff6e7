import type { FetchedManifest } from '#distribution/fetcher.ts';
import { invalid, tooLarge } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, digestOf, isDigest } from '#oci/digest.ts';
import type { BuildSession } from '../../session/build-session.ts';
import type { BlobFetcher } from '../../solve/ref.ts';
import type { DocumentSource } from './image-documents.ts';

const MAX_MANIFEST_BYTES = 8 * 1024 * 1024;

/** A content store of a client's, read as a repository is. What it says is checked against its digest. */
export class SessionContent implements DocumentSource, BlobFetcher {
  readonly #session: BuildSession;
  readonly #store: string;

  constructor(session: BuildSession, store: string) {
    this.#session = session;
    this.#store = store;
  }

  async manifest(reference: string, { signal }: { signal?: AbortSignal } = {}): Promise<FetchedManifest> {
    if (!isDigest(reference)) throw invalid(`oci-layout reference without a digest: ${reference}`);
    const payload = await this.#whole(reference, MAX_MANIFEST_BYTES, signal);
    return { mediaType: mediaTypeOf(payload), digest: reference, payload };
  }

  async smallBlob(
    { digest, size }: Descriptor,
    limit: number,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Buffer> {
    if (size > limit) throw tooLarge(`blob ${digest} is too large`);
    return this.#whole(digest, limit, signal);
  }

  async *blob(
    { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
    options: { offset?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let skip = options.offset ?? 0;
    let left = size;
    for await (const chunk of this.#read(digest, options.signal)) {
      left -= chunk.length;
      if (left < 0) throw invalid(`blob ${digest} is larger than the ${size} bytes that its descriptor says`);
      const skipped = Math.min(skip, chunk.length);
      skip -= skipped;
      if (skipped < chunk.length) yield chunk.subarray(skipped);
    }
  }

  async #whole(digest: Digest, limit: number, signal: AbortSignal | undefined): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of this.#read(digest, signal)) {
      size += chunk.length;
      if (size > limit) throw tooLarge(`blob ${digest} is larger than ${limit} bytes`);
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    if (digestOf(bytes) !== digest) throw invalid(`blob verification failed for digest ${digest}`);
    return bytes;
  }

  #read(digest: Digest, signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
    return this.#session.readContent(this.#store, digest, { signal: signal ?? this.#session.closed });
  }
}

function mediaTypeOf(payload: Buffer): string {
  try {
    const document = JSON.parse(payload.toString('utf8')) as { mediaType?: unknown; manifests?: unknown };
    if (typeof document.mediaType === 'string') return document.mediaType;
    // OCI's own documents need not say what they are.
    const kind = document.manifests ? 'index' : 'manifest';
    return `application/vnd.oci.image.${kind}.v1+json`;
  } catch (cause) {
    throw invalid('the client sent a manifest that is not JSON', { cause });
  }
}
