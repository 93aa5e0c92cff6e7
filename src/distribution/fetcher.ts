import { invalid, isKind, notFound, tooLarge, unavailable } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, digestOf, isDigest } from '#oci/digest.ts';
import { bareMediaType, MEDIA_TYPE } from '#oci/media-type.ts';
import { asUnavailable, type HttpResponse } from './http-transport.ts';
import { isTransient, readLimited, registryError } from './registry-error.ts';
import type { RepositoryClient } from './repository-client.ts';
import { backOff, type RetryOptions, retrying } from './retry.ts';

/** A manifest or an index, byte for byte as the registry keeps it. */
export interface FetchedManifest {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly payload: Buffer;
}

export interface ReadOptions {
  readonly signal?: AbortSignal;
  /** How often to try, where it is not as often as usual. */
  readonly attempts?: number;
}

const ACCEPT = [
  MEDIA_TYPE.ociIndex,
  MEDIA_TYPE.dockerManifestList,
  MEDIA_TYPE.ociManifest,
  MEDIA_TYPE.dockerManifest,
].join(', ');

const MAX_MANIFEST_BYTES = 8 * 1024 * 1024;

/** Reads from one repository. Failures that may pass are tried again. */
export class Fetcher {
  readonly #client: RepositoryClient;
  readonly #retry: RetryOptions;

  constructor(client: RepositoryClient, options: { retry?: RetryOptions } = {}) {
    this.#client = client;
    this.#retry = options.retry ?? {};
  }

  /** Which server this reads from. */
  get origin(): URL {
    return this.#client.origin;
  }

  /** By tag or digest; verified when by digest. Throws `not-found`, `unauthorized`, `unavailable` … */
  async manifest(reference: string, options: ReadOptions = {}): Promise<FetchedManifest> {
    return retrying(async () => {
      const response = await this.#get(`manifests/${reference}`, { accept: ACCEPT }, options);
      const payload = await this.#whole(response, MAX_MANIFEST_BYTES, options);
      const digest = digestOf(payload);
      if (reference.startsWith('sha256:') && digest !== reference) {
        throw invalid(`manifest verification failed for digest ${reference}`);
      }
      return { mediaType: mediaTypeOf(response, payload), digest, payload };
    }, this.#with(options));
  }

  /** What a tag points at, without reading it. */
  async resolve(reference: string, options: { signal?: AbortSignal } = {}): Promise<Descriptor> {
    // A HEAD would do where every registry sent the digest's header; a manifest is small enough.
    const { mediaType, digest, payload } = await this.manifest(reference, options);
    return { mediaType, digest, size: payload.length };
  }

  /** What refers to a manifest, where the registry knows or clients have listed it by a tag. */
  async referrers(digest: Digest, options: { signal?: AbortSignal } = {}): Promise<readonly Descriptor[]> {
    const told = await this.#index(`referrers/${digest}`, options);
    return told ?? (await this.#index(`manifests/${digest.replace(':', '-')}`, options)) ?? [];
  }

  /** undefined: there is none. */
  async #index(path: string, options: { signal?: AbortSignal }): Promise<readonly Descriptor[] | undefined> {
    try {
      const payload = await retrying(async () => {
        const response = await this.#get(path, { accept: MEDIA_TYPE.ociIndex }, options);
        return this.#whole(response, MAX_MANIFEST_BYTES, options);
      }, this.#with(options));
      const { manifests } = JSON.parse(payload.toString('utf8')) as { manifests?: Descriptor[] };
      return Array.isArray(manifests) ? manifests.filter(({ digest }) => isDigest(digest)) : [];
    } catch (error) {
      if (isKind(error, 'not-found') || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  /** A small blob, verified. */
  async smallBlob(
    descriptor: Descriptor,
    limit: number,
    options: { signal?: AbortSignal } = {},
  ): Promise<Buffer> {
    if (descriptor.size > limit) throw tooLarge(`blob ${descriptor.digest} is too large`);
    return retrying(async () => {
      const response = await this.#get(`blobs/${descriptor.digest}`, {}, options);
      const bytes = await this.#whole(response, limit, options);
      if (digestOf(bytes) !== descriptor.digest)
        throw invalid(`blob verification failed for digest ${descriptor.digest}`);
      return bytes;
    }, this.#with(options));
  }

  /** Whether a blob is there, without reading it. */
  async hasBlob(digest: Digest, options: ReadOptions = {}): Promise<boolean> {
    return retrying(async () => (await this.#head(digest, options)) !== undefined, this.#with(options));
  }

  /** In bytes; undefined: it is not there. Throws `unavailable` when the registry does not say. */
  async blobSize(digest: Digest, options: ReadOptions = {}): Promise<number | undefined> {
    const size = await retrying(async () => {
      const found = await this.#head(digest, options);
      return found && (sizeOf(found) ?? (await this.#sizeByGet(digest, options)) ?? 'unknown');
    }, this.#with(options));
    if (size !== 'unknown') return size;
    throw unavailable(`${this.#client.origin.host} does not say how large the blob ${digest} is`);
  }

  /** undefined: it is not there. */
  async #head(digest: Digest, options: ReadOptions): Promise<HttpResponse | undefined> {
    const response = await this.#client.request({ method: 'HEAD', path: `blobs/${digest}`, ...options });
    response.body.resume();
    if (response.status === 404) return undefined;
    if (response.status === 200) return response;
    throw await registryError(response, `blobs/${digest}`);
  }

  /** Some servers say so little of what they do not send. */
  async #sizeByGet(digest: Digest, options: ReadOptions): Promise<number | undefined> {
    const response = await this.#get(`blobs/${digest}`, {}, options);
    response.body.destroy();
    return sizeOf(response);
  }

  /**
   * A blob's bytes from `offset` on. A connection that breaks is taken up again where it broke, as long as that
   * brings something. The bytes are not verified: the caller hashes what it stores.
   */
  async *blob(
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    options: { offset?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let offset = options.offset ?? 0;
    const attempts = this.#retry.attempts ?? 4;
    for (let failures = 0; offset < descriptor.size; ) {
      try {
        for await (const chunk of this.#blobFrom(descriptor, offset, options)) {
          offset += chunk.length;
          failures = 0;
          yield chunk;
        }
        if (offset < descriptor.size) throw unavailable('unexpected EOF');
      } catch (error) {
        if (++failures >= attempts || !isTransient(error)) throw error;
        await backOff(failures, error, this.#with({ signal: options.signal }));
      }
    }
  }

  /** All tags of the repository, page by page. */
  async tags(options: ReadOptions = {}): Promise<string[]> {
    const tags: string[] = [];
    for (let last = ''; ; last = tags.at(-1)!) {
      const response = await retrying(
        () => this.#get('tags/list', {}, options, { n: '1000', ...(last && { last }) }),
        this.#with(options),
      );
      const page = tagsOf(await this.#whole(response, MAX_MANIFEST_BYTES, options));
      tags.push(...page);
      if (!response.headers.link || page.length === 0 || page.at(-1) === last) return tags;
    }
  }

  async *#blobFrom(
    { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
    offset: number,
    options: { signal?: AbortSignal },
  ): AsyncGenerator<Buffer> {
    const headers = offset > 0 ? { range: `bytes=${offset}-` } : undefined;
    const response = await this.#get(`blobs/${digest}`, { ...headers }, options);
    // Not every server honours a range.
    let skip = response.status === 206 ? 0 : offset;
    let remaining = size - offset;
    try {
      for await (let chunk of response.body as AsyncIterable<Buffer>) {
        const skipped = Math.min(skip, chunk.length);
        skip -= skipped;
        chunk = chunk.subarray(skipped);
        if (chunk.length === 0) continue;
        remaining -= chunk.length;
        if (remaining < 0)
          throw invalid(`blob ${digest} is larger than the ${size} bytes that its descriptor says`);
        yield chunk;
      }
    } catch (error) {
      throw isBodyFailure(error)
        ? asUnavailable({ method: 'GET', url: response.url, ...options }, error)
        : error;
    } finally {
      response.body.destroy();
    }
  }

  async #get(
    path: string,
    headers: Record<string, string>,
    options: { signal?: AbortSignal },
    query?: Record<string, string>,
  ): Promise<HttpResponse> {
    const response = await this.#client.request({
      method: 'GET',
      path,
      headers,
      ...(query && { query }),
      ...(options.signal && { signal: options.signal }),
    });
    if (response.status === 200 || response.status === 206) return response;
    throw await registryError(response, `${this.#client.origin.host}/${this.#client.repository}/${path}`);
  }

  async #whole(response: HttpResponse, limit: number, options: { signal?: AbortSignal }): Promise<Buffer> {
    const bytes = await readLimited(response, limit).catch((error: unknown) => {
      throw asUnavailable({ method: 'GET', url: response.url, ...options }, error);
    });
    if (!bytes) throw tooLarge(`the answer of ${response.url.host} is larger than ${limit} bytes`);
    return bytes;
  }

  #with({ attempts, signal }: ReadOptions): RetryOptions {
    return { ...this.#retry, ...(attempts && { attempts }), ...(signal && { signal }) };
  }
}

/** In bytes, where the server says it. */
function sizeOf({ headers }: HttpResponse): number | undefined {
  const { 'content-length': length = '' } = headers;
  return /^\d+$/.test(length) ? Number(length) : undefined;
}

function isBodyFailure(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.name !== 'SlipwayError';
}

/** What the manifest says of itself goes before the header, which some servers get wrong. */
function mediaTypeOf(response: HttpResponse, payload: Buffer): string {
  try {
    const { mediaType } = JSON.parse(payload.toString('utf8')) as { mediaType?: unknown };
    if (typeof mediaType === 'string') return mediaType;
  } catch (cause) {
    throw invalid('the registry sent a manifest that is not JSON', { cause });
  }
  return bareMediaType(response.headers['content-type'] ?? '');
}

function tagsOf(body: Buffer): string[] {
  try {
    const { tags } = JSON.parse(body.toString('utf8')) as { tags?: unknown };
    if (Array.isArray(tags)) return tags.filter((tag) => typeof tag === 'string');
  } catch {
    // Told below.
  }
  throw notFound('the registry sent no list of tags');
}
