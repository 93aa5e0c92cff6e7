/** Smaller chunks are copied together: each costs more to keep than it holds. */
const SMALL_CHUNK = 8 * 1024;
const SLAB = 64 * 1024;

/** Bytes in memory, in the order in which they came. */
export class ByteQueue {
  #chunks: Uint8Array[] = [];
  #size = 0;
  #slab: Buffer = Buffer.alloc(0);

  /** In bytes. */
  get size(): number {
    return this.#size;
  }

  /** The bytes, which stay. */
  get chunks(): readonly Uint8Array[] {
    return this.#chunks;
  }

  add(chunk: Uint8Array): void {
    this.#size += chunk.length;
    if (chunk.length >= SMALL_CHUNK) this.#chunks.push(chunk);
    else if (chunk.length > 0) this.#addCopy(chunk);
  }

  /** Puts bytes before all others. */
  prepend(chunks: readonly Uint8Array[]): void {
    this.#chunks.unshift(...chunks);
    for (const { length } of chunks) this.#size += length;
  }

  /** Takes out the first `size` bytes; there are as many. */
  take(size: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    let left = size;
    while (left > 0 && this.#chunks[taken.length]!.length <= left) {
      const chunk = this.#chunks[taken.length]!;
      taken.push(chunk);
      left -= chunk.length;
    }
    this.#chunks.splice(0, taken.length);
    if (left > 0) {
      const chunk = this.#chunks[0]!;
      taken.push(chunk.subarray(0, left));
      this.#chunks[0] = chunk.subarray(left);
    }
    this.#size -= size;
    return taken;
  }

  /** Takes out the first bytes, as many as lie together; undefined when there are none. */
  shift(): Uint8Array | undefined {
    const chunk = this.#chunks.shift();
    if (chunk) this.#size -= chunk.length;
    return chunk;
  }

  clear(): void {
    this.#chunks = [];
    this.#size = 0;
    this.#slab = Buffer.alloc(0);
  }

  #addCopy(chunk: Uint8Array): void {
    if (this.#slab.length < chunk.length) this.#slab = Buffer.allocUnsafeSlow(SLAB);
    this.#slab.set(chunk);
    const copy = this.#slab.subarray(0, chunk.length);
    this.#slab = this.#slab.subarray(chunk.length);
    const last = this.#chunks.at(-1);
    const follows = last?.buffer === copy.buffer && last.byteOffset + last.length === copy.byteOffset;
    if (!follows) this.#chunks.push(copy);
    else
      this.#chunks[this.#chunks.length - 1] = Buffer.from(
        copy.buffer,
        last.byteOffset,
        last.length + copy.length,
      );
  }
}
