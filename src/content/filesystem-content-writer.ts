import { constants } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, systemCode, unavailable } from '#errors/errors.ts';
import { ByteQueue } from './byte-queue.ts';
import type { ContentWriter } from './content-store.ts';
import type { DurableDirectories } from './durable-directories.ts';

/** Chunks are gathered until they make a write worth its system call. */
const BATCH_SIZE = 1024 * 1024;
const LEAST_BATCH_SIZE = 64 * 1024;
/** What all writers may gather together, as long as that leaves each the least. */
const BATCHES = 64 * 1024 * 1024;
/** How much may be written before the disk is made to begin, so that the sync at commit finds little to do. */
const SYNC_EVERY = 32 * 1024 * 1024;
const READ_SIZE = 1024 * 1024;

interface WriterOptions {
  /** Where the bytes go until the commit. */
  readonly path: string;
  /** Where the commit puts them. */
  readonly target: string;
  readonly directories: DurableDirectories;
  /** The writers that are open in the store, this one among them: the more, the less each gathers. */
  readonly open: Set<FilesystemContentWriter>;
}

/** Appends to a file: one batch is being written while the next one is gathered. */
export class FilesystemContentWriter implements ContentWriter {
  readonly #options: WriterOptions;
  readonly #file: FileHandle;
  readonly #batch = new ByteQueue();
  /** Bytes handed to the file so far, which is where the next batch goes. */
  #position: number;
  #unsynced = 0;
  #writing: Promise<void> = Promise.resolve();
  #syncing: Promise<void> = Promise.resolve();
  #failure: Error | undefined;
  #closed = false;

  static async open(options: WriterOptions): Promise<FilesystemContentWriter> {
    await options.directories.ensure(dirname(options.path));
    const file = await open(options.path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      return new FilesystemContentWriter(options, file, (await file.stat()).size);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(options: WriterOptions, file: FileHandle, size: number) {
    this.#options = options;
    this.#file = file;
    this.#position = size;
    options.open.add(this);
  }

  get offset(): number {
    return this.#position + this.#batch.size;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#failure) throw this.#failure;
    this.#batch.add(chunk);
    if (this.#batch.size >= this.#batchSize()) await this.#writeBatch();
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
   * resolved. So the file and its name are synced at once, which costs a journal one commit instead of two.
   */
  async commit(): Promise<void> {
    const { path, target, directories } = this.#options;
    try {
      await this.#flush();
      await directories.ensure(dirname(target));
      await rename(path, target);
      const syncs = [this.#file.datasync(), directories.sync(dirname(target))];
      const failed = (await Promise.allSettled(syncs)).find(({ status }) => status === 'rejected');
      if (!failed) return;
      await unlink(target);
      throw (failed as PromiseRejectedResult).reason;
    } finally {
      await this.#close();
    }
  }

  async abort(): Promise<void> {
    this.#batch.clear();
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

  #batchSize(): number {
    return Math.max(LEAST_BATCH_SIZE, Math.min(BATCH_SIZE, BATCHES / this.#options.open.size));
  }

  /** Waits for the batch before, then starts this one: at most two are in memory. */
  async #writeBatch(): Promise<void> {
    await this.#writing;
    if (this.#failure) throw this.#failure;
    const [size, position] = [this.#batch.size, this.#position];
    const chunks = this.#batch.take(size);
    this.#position += size;
    this.#writing = this.#writeAll(chunks, size, position).catch((error: unknown) => {
      this.#failure = writeFailure(error);
      this.#position = position;
    });
  }

  async #writeAll(batch: Uint8Array[], size: number, position: number): Promise<void> {
    let { bytesWritten } = await this.#file.writev(batch, position);
    if (bytesWritten < size) {
      const rest = Buffer.concat(batch);
      while (bytesWritten < size) {
        const more = await this.#file.write(rest, bytesWritten, size - bytesWritten, position + bytesWritten);
        bytesWritten += more.bytesWritten;
      }
    }
    await this.#syncNowAndThen(size);
  }

  async #syncNowAndThen(size: number): Promise<void> {
    this.#unsynced += size;
    if (this.#unsynced < SYNC_EVERY) return;
    this.#unsynced = 0;
    // One sync at a time: when the disk is slower than the sender, this is where the sender waits.
    await this.#syncing;
    this.#syncing = this.#file.datasync().catch((error: unknown) => {
      this.#failure ??= writeFailure(error);
    });
  }

  async #flush(): Promise<void> {
    if (this.#batch.size > 0) await this.#writeBatch();
    await this.#writing;
    if (this.#failure) throw this.#failure;
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.open.delete(this);
    await this.#writing;
    await this.#syncing;
    await this.#file.close();
  }
}

function writeFailure(error: unknown): Error {
  const full = systemCode(error) === 'ENOSPC' || systemCode(error) === 'EDQUOT';
  if (full) return unavailable('no space left for content', { cause: error });
  return error instanceof Error ? error : new Error(messageOf(error));
}
