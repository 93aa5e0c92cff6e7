interface Remembered {
  readonly bytes: Uint8Array;
  readonly label: string;
}

/** Small documents by their digests, the least recently used of which go when there are too many bytes. */
export class RememberedBytes {
  readonly #maxBytes: number;
  readonly #entries = new Map<string, Remembered>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(digest: string): Remembered | undefined {
    const found = this.#entries.get(digest);
    if (!found) return undefined;
    this.#entries.delete(digest);
    this.#entries.set(digest, found);
    return found;
  }

  set(digest: string, entry: Remembered): void {
    this.#bytes += entry.bytes.length - (this.#entries.get(digest)?.bytes.length ?? 0);
    this.#entries.delete(digest);
    this.#entries.set(digest, entry);
    for (const [oldest, { bytes }] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#entries.delete(oldest);
      this.#bytes -= bytes.length;
    }
  }
}
