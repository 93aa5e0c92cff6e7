import { Semaphore } from '#async/semaphore.ts';
import { BlockPool } from './block-pool.ts';

const BLOCK_SIZE = 256 * 1024;

/**
 * The memory that uploads to S3 share in a process: parts on their way are bounded in number and their buffers used
 * again; bytes that are not yet a part are counted, so that writers make smaller parts when it gets crowded.
 */
export class S3PartBuffers {
  /** The size of a part in quiet times, in bytes. */
  readonly partSize: number;
  /** For bytes that are not yet a part. */
  readonly blocks: BlockPool;
  readonly #parts: BlockPool;
  readonly #slots: Semaphore;
  readonly #crowded: number;
  #gathered = 0;

  constructor(options: { partSize: number; maxParts: number }) {
    this.partSize = options.partSize;
    this.#slots = new Semaphore(options.maxParts);
    this.#crowded = options.partSize * options.maxParts;
    this.#parts = new BlockPool({ blockSize: options.partSize, keep: options.maxParts });
    this.blocks = new BlockPool({ blockSize: BLOCK_SIZE, keep: Math.ceil(this.#crowded / BLOCK_SIZE) });
  }

  /** Bytes more, or less, that wait to become a part. */
  count(bytes: number): void {
    this.#gathered += bytes;
  }

  get crowded(): boolean {
    return this.#gathered > this.#crowded;
  }

  /** Waits for its turn, has a part filled and hands it to `send`. Resolves when that began. */
  async send(
    size: number,
    part: { fill: (target: Uint8Array) => void; send: (bytes: Uint8Array) => Promise<void> },
  ): Promise<{ sent: Promise<void> }> {
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const sent = this.#slots.run(async () => {
      const buffer = size > this.partSize ? Buffer.allocUnsafeSlow(size) : this.#parts.take();
      const bytes = buffer.subarray(0, size);
      part.fill(bytes);
      resolve();
      await part.send(bytes);
      // After a failure something may still hold on to it.
      this.#parts.give(buffer);
    });
    await begun;
    return { sent };
  }
}
