/** Something that several builds stand on; it is given up when the last of them lets go. */
export class Lease {
  readonly #release: () => Promise<void>;
  #holders = 1;

  /** Held once, by who made it. */
  constructor(release: () => Promise<void>) {
    this.#release = release;
  }

  retain(): void {
    if (this.#holders === 0) throw new Error('a lease that was given up cannot be held');
    this.#holders++;
  }

  async release(): Promise<void> {
    if (--this.#holders === 0) await this.#release();
  }
}

export type Holdable = Pick<Lease, 'retain' | 'release'>;
