import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { ConfigError } from '#config/config-error.ts';
import type { Config } from '#config/schema.ts';
import type { Credentials } from '#distribution/authorizer.ts';
import type { HttpResponse, HttpTransport } from '#distribution/http-transport.ts';
import { readLimited, registryError } from '#distribution/registry-error.ts';
import { RepositoryClient } from '#distribution/repository-client.ts';
import { messageOf, tooLarge, unavailable } from '#errors/errors.ts';
import { type Digest, isDigest } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { RepositoryName } from '#oci/reference.ts';
import type { AskOptions, Upstream, UpstreamBlob, UpstreamManifest } from '#registry/mirror/upstream.ts';

type UpstreamConfig = Config['registry']['mirrors'][number]['upstreams'][number];

const ACCEPT = [
  MEDIA_TYPE.ociIndex,
  MEDIA_TYPE.dockerManifestList,
  MEDIA_TYPE.ociManifest,
  MEDIA_TYPE.dockerManifest,
].join(', ');

/** Tokens are kept by repository, for so many of them. */
const MAX_CLIENTS = 500;

const credentialsFile = z.strictObject({ username: z.string().min(1), password: z.string() });

/** Reads `{"username": …, "password": …}`. Throws `ConfigError`. */
export function readCredentials(file: string | undefined): Credentials | undefined {
  if (file === undefined) return undefined;
  try {
    return credentialsFile.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const reason = error instanceof z.ZodError ? 'expected {"username": …, "password": …}' : messageOf(error);
    throw new ConfigError(`${file}: ${reason}`);
  }
}

/** Another registry that is pulled from, over the Distribution API. */
export class DistributionUpstream implements Upstream {
  readonly name: string;
  readonly #transport: HttpTransport;
  readonly #origin: URL;
  readonly #credentials: Credentials | undefined;
  readonly #timeout: number;
  readonly #maxManifestSize: number;
  readonly #clients = new Map<string, RepositoryClient>();

  /** `timeout`: in milliseconds, for an answer to begin, and for a manifest to be there. */
  constructor(
    { transport }: { transport: HttpTransport },
    options: UpstreamConfig & { timeout: number; maxManifestSize: number },
  ) {
    this.#transport = transport;
    this.#origin = new URL(options.url);
    this.name = this.#origin.host;
    this.#credentials = readCredentials(options.credentials);
    this.#timeout = options.timeout;
    this.#maxManifestSize = options.maxManifestSize;
  }

  async resolve(
    repository: RepositoryName,
    tag: string,
    { signal }: AskOptions,
  ): Promise<Digest | undefined> {
    return await this.#within(signal, async (deadline) => {
      const response = await this.#ask('HEAD', repository, `manifests/${tag}`, deadline, { accept: ACCEPT });
      response.body.resume();
      const digest = response.headers['docker-content-digest'];
      return typeof digest === 'string' && isDigest(digest) ? digest : undefined;
    });
  }

  async manifest(
    repository: RepositoryName,
    reference: string,
    { signal }: AskOptions,
  ): Promise<UpstreamManifest> {
    return await this.#within(signal, async (deadline) => {
      const path = `manifests/${reference}`;
      const response = await this.#ask('GET', repository, path, deadline, { accept: ACCEPT });
      const payload = await readLimited(response, this.#maxManifestSize).catch((cause: unknown) => {
        throw unavailable(`${this.name}: ${messageOf(cause)}`, { cause });
      });
      if (!payload) throw tooLarge(`${this.name} has a manifest of more than ${this.#maxManifestSize} bytes`);
      const digest = response.headers['docker-content-digest'];
      return {
        mediaType: response.headers['content-type'] ?? '',
        payload,
        digest: typeof digest === 'string' ? digest : undefined,
      };
    });
  }

  async blobSize(
    repository: RepositoryName,
    digest: Digest,
    { signal }: AskOptions,
  ): Promise<number | undefined> {
    return await this.#within(signal, async (deadline) => {
      const response = await this.#ask('HEAD', repository, `blobs/${digest}`, deadline);
      response.body.resume();
      return lengthOf(response);
    });
  }

  async blob(
    repository: RepositoryName,
    digest: Digest,
    { signal, offset }: AskOptions & { offset: number },
  ): Promise<UpstreamBlob> {
    // Until the answer begins there is a time limit; then the transport's own, on silence.
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), this.#timeout);
    const either = AbortSignal.any([signal, late.signal]);
    const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
    try {
      const response = await this.#ask('GET', repository, `blobs/${digest}`, either, headers);
      const partial = response.status === 206;
      const length = lengthOf(response);
      return {
        size: partial ? totalOf(response) : length,
        body: this.#body(response, partial ? 0 : offset),
      };
    } catch (error) {
      throw late.signal.aborted && !signal.aborted ? this.#silent() : error;
    } finally {
      clearTimeout(timer);
    }
  }

  async *#body(response: HttpResponse, skip: number): AsyncGenerator<Uint8Array> {
    let left = skip;
    try {
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        // Not every server honours a range.
        const skipped = Math.min(left, chunk.length);
        left -= skipped;
        if (skipped < chunk.length) yield chunk.subarray(skipped);
      }
    } catch (cause) {
      throw unavailable(`${this.name}: ${messageOf(cause)}`, { cause });
    } finally {
      response.body.destroy();
    }
  }

  async #ask(
    method: 'GET' | 'HEAD',
    repository: RepositoryName,
    path: string,
    signal: AbortSignal,
    headers: Record<string, string> = {},
  ): Promise<HttpResponse> {
    const response = await this.#client(repository).request({ method, path, headers, signal });
    if (response.status === 200 || response.status === 206) return response;
    throw await registryError(response, `${this.name}/${repository}/${path}`);
  }

  /** Aborts a request that takes too long. A lookup that fails for that is a failure of the upstream, not ours. */
  async #within<T>(signal: AbortSignal, ask: (deadline: AbortSignal) => Promise<T>): Promise<T> {
    const late = AbortSignal.timeout(this.#timeout);
    try {
      return await ask(AbortSignal.any([signal, late]));
    } catch (error) {
      throw late.aborted && !signal.aborted ? this.#silent() : error;
    }
  }

  #silent() {
    return unavailable(`${this.name} did not answer within ${this.#timeout / 1000} seconds`);
  }

  #client(repository: RepositoryName): RepositoryClient {
    const known = this.#clients.get(repository);
    if (known) return known;
    const client = new RepositoryClient(this.#transport, {
      origin: this.#origin,
      repository,
      actions: 'pull',
      ...(this.#credentials && { credentials: this.#credentials }),
    });
    this.#clients.set(repository, client);
    const [oldest] = this.#clients.size > MAX_CLIENTS ? this.#clients.keys() : [];
    if (oldest !== undefined) this.#clients.delete(oldest);
    return client;
  }
}

function lengthOf(response: HttpResponse): number | undefined {
  const length = response.headers['content-length'];
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/** The size of the whole in a `Content-Range`. */
function totalOf(response: HttpResponse): number | undefined {
  const total = /\/(\d{1,15})$/.exec(response.headers['content-range'] ?? '')?.[1];
  return total === undefined ? undefined : Number(total);
}
