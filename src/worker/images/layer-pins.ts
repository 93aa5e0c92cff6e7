import type { Digest } from '#oci/digest.ts';

/**
 * Layers that somebody is about to make an image of, in memory: a pull that found them here, a build step that
 * has just made one. They are not collected meanwhile. A restart forgets the pins with the work they were for.
 */
export class LayerPins {
  readonly #counts = new Map<Digest, number>();
  readonly #until = new Map<Digest, number>();

  has(chainId: Digest): boolean {
    if (this.#counts.has(chainId)) return true;
    const until = this.#until.get(chainId);
    if (until === undefined) return false;
    if (until > Date.now()) return true;
    this.#until.delete(chainId);
    return false;
  }

  /** Dispose of the answer to unpin. */
  pin(chainIds: Iterable<Digest>): Disposable {
    const pinned = [...chainIds];
    for (const chainId of pinned) this.#counts.set(chainId, (this.#counts.get(chainId) ?? 0) + 1);
    let done = false;
    return {
      [Symbol.dispose]: () => {
        if (done) return;
        done = true;
        for (const chainId of pinned) this.#unpin(chainId);
      },
    };
  }

  /** For callers that hand a layer over to others without knowing when they are done. */
  pinFor(chainId: Digest, milliseconds: number): void {
    this.#until.set(chainId, Date.now() + milliseconds);
  }

  /** Ends `pinFor`. */
  handedOver(chainId: Digest): void {
    this.#until.delete(chainId);
  }

  #unpin(chainId: Digest): void {
    const count = (this.#counts.get(chainId) ?? 1) - 1;
    if (count === 0) this.#counts.delete(chainId);
    else this.#counts.set(chainId, count);
  }
}
