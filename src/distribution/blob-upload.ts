import { PassThrough } from 'node:stream';
import { unavailable } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { HttpResponse } from './http-transport.ts';
import { registryError } from './registry-error.ts';
import type { RepositoryClient } from './repository-client.ts';

/** Between who makes the blob and the connection. */
const BUFFERED_BYTES = 4 * 1024 * 1024;

/**
 * A blob that is sent while it is made: neither its size nor its digest has to be known before. What fails is not
 * tried again: nothing is kept of what was sent.
 */
export class BlobUpload {
  readonly #client: RepositoryClient;
  readonly #body = new PassThrough({ highWaterMark: BUFFERED_BYTES });
  readonly #stopping = new AbortController();
  readonly #signal: AbortSignal;
  readonly #sent: Promise<URL>;

  /** At the place that the registry has said (distribution-spec, "Pushing a blob in chunks"). */
  constructor(client: RepositoryClient, location: URL, options: { signal?: AbortSignal } = {}) {
    this.#client = client;
    const { signal } = this.#stopping;
    this.#signal = options.signal ? AbortSignal.any([signal, options.signal]) : signal;
    // Nobody may be left to hear of what breaks it.
    this.#body.on('error', () => undefined);
    this.#sent = this.#send(location).finally(() => this.#body.destroy());
    this.#sent.catch(() => undefined);
  }

  /** Resolves when there is room for more. Throws what ended the upload before its time. */
  async write(chunk: Uint8Array): Promise<void> {
    if (!this.#body.destroyed && this.#body.write(chunk)) return;
    while (!this.#body.destroyed && this.#body.writableNeedDrain) await this.#changed();
    if (!this.#body.destroyed) return;
    await this.#sent;
    throw unavailable('the registry answered before it had the whole blob');
  }

  /** How much waits to be sent. */
  get backlog(): number {
    return this.#body.writableLength + this.#body.readableLength;
  }

  /** Ends the upload; the blob is in the repository when it resolves. */
  async commit(digest: Digest): Promise<void> {
    this.#body.end();
    const location = await this.#sent;
    const response = await this.#client.request({
      method: 'PUT',
      path: location,
      query: { digest },
      headers: { 'content-length': '0' },
      signal: this.#signal,
    });
    if (response.status !== 201) throw await registryError(response, `blobs/${digest}`);
    response.body.resume();
  }

  /** The registry drops what it has got, sooner or later. */
  abort(): void {
    this.#stopping.abort();
    this.#body.destroy();
  }

  async #send(location: URL): Promise<URL> {
    const response = await this.#client.request({
      method: 'PATCH',
      path: location,
      headers: { 'content-type': 'application/octet-stream' },
      body: () => {
        // For a second attempt, with other credentials, it would lack its beginning.
        if (this.#body.readableDidRead) throw unavailable('an upload in one go was asked for twice');
        return this.#body;
      },
      signal: this.#signal,
    });
    if (response.status !== 202) throw await registryError(response, 'blobs/uploads/');
    response.body.resume();
    return locationOf(response);
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      const changed = () => {
        this.#body.off('drain', changed).off('close', changed);
        resolve();
      };
      this.#body.on('drain', changed).on('close', changed);
    });
  }
}

/** Throws `unavailable` where there is none. */
export function locationOf(response: HttpResponse): URL {
  const { location } = response.headers;
  if (location === undefined || !URL.canParse(location, response.url.href)) {
    throw unavailable('the registry began an upload without saying where');
  }
  return new URL(location, response.url);
}
