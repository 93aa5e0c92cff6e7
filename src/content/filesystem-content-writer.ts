import { constants } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, systemCode, unavailable } from '#errors/errors.ts';
import { BufferPool } from './buffer-pool.ts';
import type { ContentWriter } from './content-store.ts';
import type { DurableDirectories } from './durable-directories.ts';

/** Bytes are gathered until they make a write worth its system call; in a crowd of writers, fewer. */
const BLOCK = 512 * 1024;
const blocks = new BufferPool({ size: BLOCK, limit: 64, smallSize: 64 * 1024 });
/** How much is written before the disk is made to begin, so that the sync at commit finds little to do. */
const SYNC_EVERY = 8 * 1024 * 1024;
/** How much may wait for the sync after the one under way: then the sender waits for the disk. */
const MAX_UNSYNCED = 32 * 1024 * 1024;
const READ_SIZE = 1024 * 1024;

interface WriterOptions {
  /** Where the bytes go until the commit. */
  readonly path: string;
  /** Where the commit puts them. */
  readonly target: string;
  readonly directories: DurableDirectories;
  /** See `ContentStore.writer`. */
  readonly patient: boolean;
}

/** Appends to a file: one block is being written while the next one is gathered. */
export class FilesystemContentWriter implements ContentWriter {
  readonly #options: WriterOptions;
  readonly #file: FileHandle;
  /** What is gathered, and how many bytes that are. */
  #block: Buffer | undefined;
  #gathered = 0;
  /** Bytes handed to the file so far, which is where the next block goes. */
  #position: number;
  /** Bytes in the file that no sync was begun for. */
  #unsynced = 0;
  #writing: Promise<void> = Promise.resolve();
  #syncing: Promise<void> | undefined;
  #failure: Error | undefined;
  #closed = false;

  static async open(options: WriterOptions): Promise<FilesystemContentWriter> {
    await options.directories.ensure(dirname(options.path));
    const { file, size } = (await created(options.path)) ?? (await existing(options.path));
    return new FilesystemContentWriter(options, file, size);
  }

  private constructor(options: WriterOptions, file: FileHandle, size: number) {
    this.#options = options;
    this.#file = file;
    this.#position = size;
  }

  get offset(): number {
    return this.#position + this.#gathered;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#failure) throw this.#failure;
    for (let taken = 0; taken < chunk.length; ) {
      this.#block ??= blocks.take(BLOCK);
      const part = chunk.subarray(taken, taken + this.#block.length - this.#gathered);
      this.#block.set(part, this.#gathered);
      this.#gathered += part.length;
      taken += part.length;
      if (this.#gathered === this.#block.length) await this.#writeBlock();
    }
  }

  async *read(): AsyncIterable<Uint8Array> {
    await this.#flush();
    const end = this.#position;
    for (let position = 0; position < end; ) {
      const buffer = Buffer.allocUnsafeSlow(Math.min(READ_SIZE, end - position));
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) throw new Error(`content ended at ${position} of ${end} bytes`);
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  /**
   * The name comes before the bytes are safe: whoever reads learns of it from a record that is made when this
   * resolved. In this order a journal takes name, size and blocks in one commit, that of the file's sync, and the
   * directory's finds nothing left to do; at the same time they make two.
   */
  async commit(): Promise<void> {
    const { path, target, directories } = this.#options;
    try {
      await this.#flush();
      await directories.ensure(dirname(target));
      await rename(path, target);
      try {
        await this.#file.datasync();
        await directories.sync(dirname(target));
      } catch (error) {
        await unlink(target);
        throw error;
      }
    } finally {
      await this.#close();
    }
  }

  async abort(): Promise<void> {
    this.#giveBlockBack();
    await this.#close();
    await unlink(this.#options.path).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error;
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#flush();
    } finally {
      await this.#close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Waits for the block before, then starts this one: at most two are in memory. */
  async #writeBlock(): Promise<void> {
    await this.#writing;
    if (this.#unsynced > MAX_UNSYNCED) await this.#syncing;
    if (this.#failure) throw this.#failure;
    const [block, size, position] = [this.#block!, this.#gathered, this.#position];
    this.#block = undefined;
    this.#gathered = 0;
    this.#position += size;
    this.#writing = this.#writeAll(block, size, position)
      .catch((error: unknown) => {
        this.#failure = writeFailure(error);
        this.#position = position;
      })
      .finally(() => blocks.give(block));
  }

  async #writeAll(block: Buffer, size: number, position: number): Promise<void> {
    for (let written = 0; written < size; ) {
      const { bytesWritten } = await this.#file.write(block, written, size - written, position + written);
      written += bytesWritten;
    }
    if (this.#options.patient) return;
    this.#unsynced += size;
    if (this.#unsynced >= SYNC_EVERY) this.#syncing ??= this.#sync();
  }

  /** Has the disk take what is there, and what came meanwhile if that is much. */
  async #sync(): Promise<void> {
    try {
      while (this.#unsynced >= SYNC_EVERY && !this.#closed) {
        this.#unsynced = 0;
        await this.#file.datasync();
      }
    } catch (error) {
      this.#failure ??= writeFailure(error);
    } finally {
      this.#syncing = undefined;
    }
  }

  async #flush(): Promise<void> {
    if (this.#gathered > 0) await this.#writeBlock();
    await this.#writing;
    if (this.#failure) throw this.#failure;
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writing;
    await this.#syncing;
    this.#giveBlockBack();
    await this.#file.close();
  }

  #giveBlockBack(): void {
    if (this.#block) blocks.give(this.#block);
    this.#block = undefined;
    this.#gathered = 0;
  }
}

/** A new file; undefined when there is one. */
async function created(path: string): Promise<{ file: FileHandle; size: number } | undefined> {
  try {
    const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    return { file, size: 0 };
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return undefined;
    throw error;
  }
}

async function existing(path: string): Promise<{ file: FileHandle; size: number }> {
  const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    return { file, size: (await file.stat()).size };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function writeFailure(error: unknown): Error {
  const full = systemCode(error) === 'ENOSPC' || systemCode(error) === 'EDQUOT';
  if (full) return unavailable('no space left for content', { cause: error });
  return error instanceof Error ? error : new Error(messageOf(error));
}
