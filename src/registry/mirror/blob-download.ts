import type { ContentReader } from '#content/content-store.ts';
import { unavailable } from '#errors/errors.ts';

/** What a client that reads slower than upstream sends may have waiting, in bytes; the rest it reads from the store. */
const MAX_WAITING = 4 * 1024 * 1024;

/** Opens what was downloaded, once it is stored. */
type OpenStored = (range: { start: number; end: number }) => Promise<ContentReader>;

/**
 * A blob that is being stored, and handed to whoever wants it meanwhile. Clients that are there from the beginning get
 * the bytes as they come; others, and those that cannot keep up, from the store when it is there. The download waits
 * for none of them. The last bytes are held back until the whole is stored and verified: no client gets a wrong blob
 * without noticing.
 */
export class BlobDownload {
  /** In bytes. */
  readonly size: number;
  readonly #open: OpenStored;
  readonly #readers = new Set<Reader>();
  readonly #stored = Promise.withResolvers<void>();
  #held: Uint8Array | undefined;
  #told = 0;

  constructor(size: number, open: OpenStored) {
    this.size = size;
    this.#open = open;
    this.#stored.promise.catch(() => {});
  }

  /** Resolves when the blob is stored and verified; rejects when it will not be. */
  get stored(): Promise<void> {
    return this.#stored.promise;
  }

  /** Passes chunks on to whoever stores them, and tells the clients. */
  async *tee(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.#release();
      this.#held = chunk;
      yield chunk;
    }
  }

  end(): void {
    this.#release();
    this.#stored.resolve();
    for (const reader of this.#readers) reader.wake();
  }

  fail(error: unknown): void {
    this.#stored.reject(error);
    for (const reader of this.#readers) reader.wake();
  }

  /** The bytes from `start` to `end` inclusive. */
  read(range: { start: number; end: number }): ContentReader {
    const reader = new Reader(range, this.#told <= range.start);
    const [size, chunks] = [this.size, () => this.#chunks(reader, range.end)];
    this.#readers.add(reader);
    return {
      size,
      [Symbol.asyncIterator]: chunks,
      async each(take) {
        for await (const chunk of chunks()) await take(chunk);
      },
    };
  }

  async *#chunks(reader: Reader, end: number): AsyncGenerator<Uint8Array> {
    try {
      while (reader.position <= end) {
        const chunk = reader.take();
        if (chunk) {
          yield chunk;
          continue;
        }
        if (reader.live) {
          await Promise.race([reader.woken(), this.#stored.promise]);
          if (!reader.empty || !this.#ended) continue;
        }
        await this.#stored.promise;
        if (!reader.empty) continue;
        yield* await this.#open({ start: reader.position, end });
        return;
      }
    } finally {
      this.#readers.delete(reader);
    }
  }

  get #ended(): boolean {
    return this.#told === this.size;
  }

  #release(): void {
    const chunk = this.#held;
    this.#held = undefined;
    if (!chunk) return;
    for (const reader of this.#readers) reader.offer(chunk, this.#told);
    this.#told += chunk.length;
  }
}

/** One client's place in the download. */
class Reader {
  /** Whether it gets bytes as they come. */
  live: boolean;
  /** What it takes next. */
  position: number;
  readonly #end: number;
  #next: number;
  #waiting: Uint8Array[] = [];
  #size = 0;
  #woken = Promise.withResolvers<void>();

  constructor({ start, end }: { start: number; end: number }, live: boolean) {
    this.live = live;
    this.position = start;
    this.#next = start;
    this.#end = end;
  }

  get empty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Takes what it wants of a chunk that begins at `at`. */
  offer(chunk: Uint8Array, at: number): void {
    if (!this.live) return;
    const from = Math.max(this.#next - at, 0);
    const piece = chunk.subarray(from, Math.max(this.#end + 1 - at, 0));
    if (piece.length === 0) return;
    if (this.#size + piece.length > MAX_WAITING && this.#size > 0) {
      this.live = false;
    } else {
      this.#waiting.push(piece);
      this.#size += piece.length;
      this.#next += piece.length;
    }
    this.wake();
  }

  take(): Uint8Array | undefined {
    const chunk = this.#waiting.shift();
    if (!chunk) return undefined;
    this.#size -= chunk.length;
    this.position += chunk.length;
    return chunk;
  }

  woken(): Promise<void> {
    return this.#woken.promise;
  }

  wake(): void {
    this.#woken.resolve();
    this.#woken = Promise.withResolvers();
  }
}

/** A blob from upstream that is larger than it was said to be, or ended early. */
export function cutShort(received: number, size: number) {
  return unavailable(`upstream sent ${received} of ${size} bytes`);
}
