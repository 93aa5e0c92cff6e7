import type { FileHandle } from 'node:fs/promises';
import type { ContentReader } from './content-store.ts';

const CHUNK_SIZE = 512 * 1024;

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

  async #next(): Promise<IteratorResult<Uint8Array>> {
    try {
      const reading = this.#ahead ?? this.#read();
      this.#ahead = undefined;
      const chunk = await reading;
      if (chunk.length === 0) return await this.#return();
      if (this.#position < this.#end) {
        this.#ahead = this.#read();
        // Its failure is for whoever asks for that chunk; nobody may.
        this.#ahead.catch(() => {});
      }
      return { done: false, value: chunk };
    } catch (error) {
      await this.#return();
      throw error;
    }
  }

  /** The next chunk; empty at the end. */
  async #read(): Promise<Uint8Array> {
    const length = Math.min(CHUNK_SIZE, this.#end - this.#position);
    if (length <= 0 || this.#closed) return new Uint8Array(0);
    const position = this.#position;
    this.#position += length;
    const buffer = Buffer.allocUnsafeSlow(length);
    for (let filled = 0; filled < length; ) {
      const { bytesRead } = await this.#file.read(buffer, filled, length - filled, position + filled);
      // Committed content does not shrink, short of someone cutting it by hand.
      if (bytesRead === 0) throw new Error(`content ended at ${position + filled} of ${this.#end} bytes`);
      filled += bytesRead;
    }
    return buffer;
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
