/** Gathers many small pieces into chunks of one size, so that few messages carry them. */
export class ChunkBuffer {
  readonly #size: number;
  readonly #emit: (chunk: Uint8Array<ArrayBuffer>) => void;
  readonly #returned: () => ArrayBuffer | undefined;
  #chunk: Uint8Array<ArrayBuffer>;
  #filled = 0;

  /**
   * `emit` may give the chunk's memory away; where it does not, the next chunk has it. `returned` answers memory of a
   * chunk that came back, if there is any.
   */
  constructor(
    size: number,
    emit: (chunk: Uint8Array<ArrayBuffer>) => void,
    returned: () => ArrayBuffer | undefined = () => undefined,
  ) {
    this.#size = size;
    this.#emit = emit;
    this.#returned = returned;
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
    if (this.#chunk.length > 0) return;
    const returned = this.#returned();
    this.#chunk = returned ? new Uint8Array(returned) : new Uint8Array(this.#size);
  }
}
