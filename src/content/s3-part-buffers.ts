import { Semaphore } from '#async/semaphore.ts';
import { BlockPool } from './block-pool.ts';

const BLOCK_SIZE = 256 * 1024;

/**
 * The memory that uploads to S3 share in a process, in blocks that are used again: parts on their way are bounded in
 * number; bytes that are not yet a part are counted, so that writers make smaller parts when it gets crowded.
 */
export class S3PartBuffers {
  /** The size of a part in quiet times, in bytes. */
  readonly partSize: number;
  readonly blocks: BlockPool;
  readonly #slots: Semaphore;
  readonly #crowded: number;
  #gathered = 0;

  constructor(options: { partSize: number; maxParts: number }) {
    this.partSize = options.partSize;
    this.#slots = new Semaphore(options.maxParts);
    this.#crowded = options.partSize * options.maxParts;
    // As much on its way as waits to be.
    this.blocks = new BlockPool({ blockSize: BLOCK_SIZE, keep: Math.ceil((2 * this.#crowded) / BLOCK_SIZE) });
  }

  /** Bytes more, or less, that wait to become a part. */
  count(bytes: number): void {
    this.#gathered += bytes;
  }

  get crowded(): boolean {
    return this.#gathered > this.#crowded;
  }

  /** Waits for its turn, takes the bytes of a part and hands them to `send`. Resolves when that began. */
  async send(part: {
    take: () => { chunks: Uint8Array[]; free: () => void };
    send: (bytes: readonly Uint8Array[]) => Promise<void>;
  }): Promise<{ sent: Promise<void> }> {
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const sent = this.#slots.run(async () => {
      const { chunks, free } = part.take();
      resolve();
      await part.send(chunks);
      // After a failure something may still hold on to them.
      free();
    });
    await begun;
    return { sent };
  }
}
