/** Gathers many small pieces into chunks of one size, so that few messages carry them. */
export class ChunkBuffer {
  readonly #size: number;
  readonly #emit: (chunk: Uint8Array<ArrayBuffer>) => void;
  #chunk: Uint8Array<ArrayBuffer>;
  #filled = 0;

  /** `emit` may give the chunk's memory away; where it does not, the next chunk has it. */
  constructor(size: number, emit: (chunk: Uint8Array<ArrayBuffer>) => void) {
    this.#size = size;
    this.#emit = emit;
    this.#chunk = new Uint8Array(size);
  }

  append(bytes: Uint8Array): void {
    for (let offset = 0; offset < bytes.length; ) {
      const space = this.space();
      const piece = bytes.subarray(offset, offset + space.length);
      space.set(piece);
      this.advance(piece.length);
      offset += piece.length;
    }
  }

  /** Where the next bytes go, never empty: fill its beginning, then call `advance`. */
  space(): Uint8Array<ArrayBuffer> {
    if (this.#filled === this.#size) this.flush();
    return this.#chunk.subarray(this.#filled);
  }

  advance(bytes: number): void {
    this.#filled += bytes;
  }

  flush(): void {
    if (this.#filled === 0) return;
    const filled = this.#filled;
    this.#filled = 0;
    this.#emit(this.#chunk.subarray(0, filled));
    if (this.#chunk.length === 0) this.#chunk = new Uint8Array(this.#size);
  }
}
