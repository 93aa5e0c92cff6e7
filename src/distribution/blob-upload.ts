import { giveBack } from '#async/give-back.ts';
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
  readonly #body = new BodyQueue();
  readonly #stopping = new AbortController();
  readonly #signal: AbortSignal;
  readonly #sent: Promise<URL>;

  /** At the place that the registry has said (distribution-spec, "Pushing a blob in chunks"). */
  constructor(client: RepositoryClient, location: URL, options: { signal?: AbortSignal } = {}) {
    this.#client = client;
    const { signal } = this.#stopping;
    this.#signal = options.signal ? AbortSignal.any([signal, options.signal]) : signal;
    // Nobody may be left to hear of what breaks it.
    this.#sent = this.#send(location).finally(() => this.#body.close());
    this.#sent.catch(() => undefined);
  }

  /**
   * Resolves when there is room for more. A chunk that has memory of its own gives that away. Throws what ended the
   * upload before its time.
   */
  async write(chunk: Uint8Array): Promise<void> {
    if (await this.#body.put(chunk)) return;
    await this.#sent;
    throw unavailable('the registry answered before it had the whole blob');
  }

  /** How much waits to be sent. */
  get backlog(): number {
    return this.#body.size;
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
    this.#body.close();
  }

  async #send(location: URL): Promise<URL> {
    const response = await this.#client.request({
      method: 'PATCH',
      path: location,
      headers: { 'content-type': 'application/octet-stream' },
      body: () => {
        // For a second attempt, with other credentials, it would lack its beginning.
        if (this.#body.wasRead) throw unavailable('an upload in one go was asked for twice');
        return this.#body.read();
      },
      signal: this.#signal,
    });
    if (response.status !== 202) throw await registryError(response, 'blobs/uploads/');
    response.body.resume();
    return locationOf(response);
  }
}

/** What is made, on its way to the connection. */
class BodyQueue {
  #chunks: Uint8Array[] = [];
  #size = 0;
  #ended = false;
  #closed = false;
  wasRead = false;
  #changed = () => {};
  #drained = () => {};

  get size(): number {
    return this.#size;
  }

  /** Resolves when there is room for more; false: nobody reads it any more. */
  async put(chunk: Uint8Array): Promise<boolean> {
    if (this.#closed) return false;
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    this.#changed();
    while (this.#size > BUFFERED_BYTES && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
    return !this.#closed;
  }

  end(): void {
    this.#ended = true;
    this.#changed();
  }

  /** Drops what is left. */
  close(): void {
    this.#closed = true;
    for (const chunk of this.#chunks.splice(0)) giveBack(chunk);
    this.#size = 0;
    this.#changed();
    this.#drained();
  }

  async *read(): AsyncGenerator<Uint8Array> {
    this.wasRead = true;
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk) {
        const { length } = chunk;
        yield chunk;
        giveBack(chunk);
        if (!this.#closed) this.#size -= length;
        this.#drained();
      } else if (this.#ended || this.#closed) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#changed = resolve;
        });
      }
    }
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
