interface PoolOptions {
  /** Of the buffers that are used again and again, in bytes. */
  readonly size: number;
  /** How many of those there are at most. */
  readonly limit: number;
  /** Of the buffers that the rest has to do with. */
  readonly smallSize: number;
}

/**
 * Buffers for content that passes through, used again and again: memory that comes and goes by the megabyte costs
 * more, in page faults and garbage collection, than what is copied through it. A crowd of readers shares the
 * large ones; who comes late, or needs little, gets a small one.
 */
export class BufferPool {
  readonly #options: PoolOptions;
  readonly #free: Buffer[] = [];
  #lent = 0;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** A buffer with anything in it, to be given back; `wanted` bytes or fewer. */
  take(wanted: number): Buffer {
    const { size, limit, smallSize } = this.#options;
    if (wanted <= smallSize || this.#lent >= limit)
      return Buffer.allocUnsafeSlow(Math.max(0, Math.min(wanted, smallSize)));
    this.#lent++;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(size);
  }

  /** Nobody may read or write the buffer any more. */
  give(buffer: Buffer): void {
    if (buffer.length < this.#options.size) return;
    this.#lent--;
    this.#free.push(buffer);
  }
}
