/** How old a look at the database may be that a copy is trusted for, in milliseconds. */
const TRUSTED_FOR = 1_000;

/**
 * A copy in this process of something in the database that is read with every request and seldom changes. Whoever
 * asks for it gets one that was up to date within the last second, whichever process changed it: a second's first
 * caller looks whether the version is still the same. Nothing happens while nobody asks.
 */
export class KeptCopy<T> {
  readonly #load: () => Promise<T>;
  readonly #version: () => Promise<number>;
  #copy: { readonly value: T; readonly version: number } | undefined;
  #lookedAt = 0;
  #looking: Promise<T> | undefined;

  constructor(source: { load: () => Promise<T>; version: () => Promise<number> }) {
    this.#load = source.load;
    this.#version = source.version;
  }

  /** The copy if it can be trusted now; else one has to wait for `current`. */
  get trusted(): T | undefined {
    return Date.now() - this.#lookedAt < TRUSTED_FOR ? this.#copy?.value : undefined;
  }

  /** Up to date within the last second. */
  async current(): Promise<T> {
    return this.trusted ?? (await this.#look());
  }

  /** Up to date with what was committed before the call. */
  async latest(): Promise<T> {
    // A look under way may have read before.
    await this.#looking?.catch(() => undefined);
    return await this.#look();
  }

  /** Makes the next caller look: the database said that it changed. */
  invalidate(): void {
    this.#lookedAt = 0;
  }

  #look(): Promise<T> {
    this.#looking ??= this.#refresh().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #refresh(): Promise<T> {
    const at = Date.now();
    // The version is read first: what changes between the two reads is looked for again.
    const version = await this.#version();
    if (this.#copy?.version !== version) this.#copy = { value: await this.#load(), version };
    this.#lookedAt = at;
    return this.#copy.value;
  }
}
