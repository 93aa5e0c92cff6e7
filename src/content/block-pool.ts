/** Blocks of memory of one size, used again and again; at most `keep` of them wait for that. */
export class BlockPool {
  readonly blockSize: number;
  readonly #keep: number;
  readonly #free: Buffer[] = [];

  constructor(options: { blockSize: number; keep: number }) {
    this.blockSize = options.blockSize;
    this.#keep = options.keep;
  }

  /** With anything in it. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.blockSize);
  }

  /** Nobody may read or write the block any more. */
  give(block: Buffer): void {
    if (block.length === this.blockSize && this.#free.length < this.#keep) this.#free.push(block);
  }
}
