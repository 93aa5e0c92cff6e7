import type { FileHandle } from 'node:fs/promises';
import { BufferPool } from './buffer-pool.ts';
import type { ContentReader } from './content-store.ts';

const CHUNK_SIZE = 256 * 1024;
/** One that is read, and two that the consumer has: it is never without one. */
const CHUNKS_AT_ONCE = 3;
const buffers = new BufferPool({ size: 512 * 1024, limit: 32, smallSize: 64 * 1024 });

/** Reads an open file, one chunk ahead of its consumer, and closes it at the end. */
export class FilesystemContentReader implements ContentReader {
  readonly size: number;
  readonly #file: FileHandle;
  readonly #end: number;
  #position: number;
  #ahead: Promise<Uint8Array> | undefined;
  #closed: Promise<void> | undefined;

  /** Takes over `file`, also when it throws. */
  static async over(
    file: FileHandle,
    range?: { start: number; end: number },
  ): Promise<FilesystemContentReader> {
    try {
      const { size } = await file.stat();
      return new FilesystemContentReader(file, size, range);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(file: FileHandle, size: number, range?: { start: number; end: number }) {
    this.#file = file;
    this.size = size;
    this.#position = range?.start ?? 0;
    this.#end = Math.min(range === undefined ? size : range.end + 1, size);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return { next: () => this.#next(), return: () => this.#return() };
  }

  async each(take: (chunk: Uint8Array) => Promise<void>): Promise<void> {
    const ring = Array.from({ length: CHUNKS_AT_ONCE }, () =>
      buffers.take(Math.max(this.#end - this.#position, 0)),
    );
    const taken = ring.map(() => Promise.resolve());
    try {
      for (let turn = 0; ; turn++) {
        const slot = turn % ring.length;
        // What this buffer held before is with the consumer; the others' may still be on their way to it.
        await taken[slot];
        const chunk = await this.#read(ring[slot]);
        if (chunk.length === 0) break;
        taken[slot] = take(chunk);
        taken[slot].catch(() => {});
      }
      await Promise.all(taken);
    } finally {
      await Promise.allSettled(taken);
      await this.#return();
      for (const buffer of ring) buffers.give(buffer);
    }
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    try {
      const chunk = await (this.#ahead ?? this.#read());
      if (chunk.length === 0) return await this.#return();
      this.#readAhead();
      return { done: false, value: chunk };
    } catch (error) {
      await this.#return();
      throw error;
    }
  }

  #readAhead(buffer?: Buffer): void {
    this.#ahead = undefined;
    if (this.#position >= this.#end) return;
    this.#ahead = this.#read(buffer);
    // A failure is for whoever asks for that chunk; nobody may.
    this.#ahead.catch(() => {});
  }

  /** The next chunk; empty at the end. */
  async #read(into?: Buffer): Promise<Uint8Array> {
    const length = Math.min(into?.length ?? CHUNK_SIZE, this.#end - this.#position);
    if (length <= 0 || this.#closed) return EMPTY;
    const position = this.#position;
    this.#position += length;
    const buffer = into ?? Buffer.allocUnsafeSlow(length);
    for (let filled = 0; filled < length; ) {
      const { bytesRead } = await this.#file.read(buffer, filled, length - filled, position + filled);
      // Committed content does not shrink, short of someone cutting it by hand.
      if (bytesRead === 0) throw new Error(`content ended at ${position + filled} of ${this.#end} bytes`);
      filled += bytesRead;
    }
    return length === buffer.length ? buffer : buffer.subarray(0, length);
  }

  async #return(): Promise<IteratorReturnResult<undefined>> {
    this.#closed ??= (async () => {
      // A descriptor that is being read must not be closed: its number could be another file's by then.
      await this.#ahead?.catch(() => {});
      await this.#file.close();
    })();
    await this.#closed;
    return { done: true, value: undefined };
  }
}

const EMPTY = new Uint8Array(0);
