import { setTimeout as sleep } from 'node:timers/promises';
import { isKind, unavailable } from '#errors/errors.ts';
import type { ContentReader } from './content-store.ts';
import type { S3Download, S3Downloads } from './s3-downloads.ts';

/** How often in a row a download may break off without a byte having come. */
const MAX_BREAKS = 4;
const FIRST_PAUSE = 100;

/** Bytes of an object. A download that breaks off is taken up again where it ended: its consumer does not notice. */
export class S3ContentReader implements ContentReader {
  readonly size: number;
  readonly #downloads: S3Downloads;
  readonly #key: string;
  readonly #etag: string | undefined;
  readonly #end: number;
  #position: number;
  #download: S3Download['body'];
  #closed = false;

  /** Throws `not-found`. `range.end` may lie beyond the content. */
  static async open(
    downloads: S3Downloads,
    key: string,
    range?: { start: number; end: number },
  ): Promise<S3ContentReader> {
    return new S3ContentReader(downloads, key, await downloads.open(key, { range }), range);
  }

  private constructor(
    downloads: S3Downloads,
    key: string,
    download: S3Download,
    range?: { start: number; end: number },
  ) {
    this.#downloads = downloads;
    this.#key = key;
    this.#download = download.body;
    this.#etag = download.etag;
    this.size = download.size;
    this.#position = range?.start ?? 0;
    this.#end = Math.min(range === undefined ? Infinity : range.end + 1, download.size);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    const chunks = this.#chunks();
    return {
      next: async () => {
        const { done, value } = await chunks.next();
        return done ? { done, value } : { done: false, value: Buffer.from(value) };
      },
      return: async () => {
        // A generator that did not begin would not get to its end either.
        this.#close();
        return await chunks.return(undefined);
      },
    };
  }

  async each(take: (chunk: Uint8Array) => Promise<void>): Promise<void> {
    for await (const chunk of this.#chunks()) await take(chunk);
  }

  async *#chunks(): AsyncGenerator<Uint8Array, undefined> {
    try {
      for (let breaks = 0; this.#position < this.#end; ) {
        const before = this.#position;
        const failure = yield* this.#untilBreak();
        if (this.#position >= this.#end) return;
        if (this.#closed) return;
        breaks = this.#position > before ? 1 : breaks + 1;
        if (breaks > MAX_BREAKS) throw broken(this.#key, failure);
        await sleep(FIRST_PAUSE * 2 ** (breaks - 1) * Math.random());
        await this.#resume();
      }
    } finally {
      this.#close();
    }
  }

  /** Chunks until the download ends, of itself or not; returns why, if it says so. */
  async *#untilBreak(): AsyncGenerator<Uint8Array, unknown> {
    try {
      for await (const chunk of this.#download) {
        this.#position += chunk.length;
        yield chunk;
      }
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async #resume(): Promise<void> {
    const range = { start: this.#position, end: this.#end - 1 };
    const { body } = await this.#downloads
      .open(this.#key, { range, etag: this.#etag })
      .catch((error: unknown) => {
        // Deleted meanwhile, which is `not-found`, or replaced, which does not happen to content.
        throw isKind(error, 'not-found') ? error : broken(this.#key, error);
      });
    this.#download = body;
  }

  /** Ends the connection if there are bytes on it; otherwise it can be used again. */
  #close(): void {
    this.#closed = true;
    this.#download.destroy();
  }
}

function broken(key: string, cause: unknown) {
  return unavailable(`the object store broke off ${key}`, { cause });
}
