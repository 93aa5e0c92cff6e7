import type { BlockPool } from './block-pool.ts';

/**
 * Bytes in memory, in the order in which they came, copied into blocks that are used again and again: what sockets
 * hand over is many small pieces, whose memory comes back when the garbage collector finds the time.
 */
export class BlockQueue {
  readonly #pool: BlockPool;
  #blocks: Buffer[] = [];
  /** How much of the first block has been taken. */
  #start = 0;
  #size = 0;

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  /** In bytes. */
  get size(): number {
    return this.#size;
  }

  add(bytes: Uint8Array): void {
    const { blockSize } = this.#pool;
    for (let done = 0; done < bytes.length; ) {
      const at = (this.#start + this.#size) % blockSize;
      if (at === 0 || this.#blocks.length === 0) this.#blocks.push(this.#pool.take());
      const part = bytes.subarray(done, done + blockSize - at);
      this.#blocks.at(-1)!.set(part, at);
      this.#size += part.length;
      done += part.length;
    }
  }

  /** Puts bytes before all others. */
  prepend(chunks: readonly Uint8Array[]): void {
    const rest = [...this.chunks()];
    const blocks = this.#blocks;
    this.#blocks = [];
    this.#start = 0;
    this.#size = 0;
    for (const chunk of [...chunks, ...rest]) this.add(chunk);
    for (const block of blocks) this.#pool.give(block);
  }

  /**
   * Takes out the first `size` bytes, of which there are enough, in the blocks that they are in. `free` gives these back,
   * when nobody reads them any more.
   */
  detach(size: number): { chunks: Uint8Array[]; free: () => void } {
    const chunks: Uint8Array[] = [];
    const blocks: Buffer[] = [];
    for (let left = size; left > 0; ) {
      const block = this.#blocks.shift()!;
      const end = Math.min(this.#start + left, block.length);
      chunks.push(block.subarray(this.#start, end));
      blocks.push(block);
      left -= end - this.#start;
      this.#size -= end - this.#start;
      this.#start = 0;
      if (left === 0 && this.#size > 0 && end < block.length) this.#keepRest(block, end);
    }
    return { chunks, free: () => blocks.forEach((block) => void this.#pool.give(block)) };
  }

  /** What follows in a block that is no longer the queue's. */
  #keepRest(block: Buffer, start: number): void {
    const copy = this.#pool.take();
    block.copy(copy, start, start);
    this.#blocks.unshift(copy);
    this.#start = start;
  }

  /** The bytes as they lie there; of use until the queue changes. */
  *chunks(): Generator<Uint8Array> {
    let left = this.#size;
    for (const [index, block] of this.#blocks.entries()) {
      const start = index === 0 ? this.#start : 0;
      const chunk = block.subarray(start, Math.min(start + left, block.length));
      left -= chunk.length;
      if (chunk.length > 0) yield chunk;
    }
  }

  /** Drops everything. `reuse` is false when something may still read the bytes. */
  clear(reuse = true): void {
    if (reuse) for (const block of this.#blocks) this.#pool.give(block);
    this.#blocks = [];
    this.#start = 0;
    this.#size = 0;
  }
}
