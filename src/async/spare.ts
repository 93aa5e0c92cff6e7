/** One of something, made before somebody needs it, and given up again when nobody does for a while. */
export class Spare<T extends AsyncDisposable> implements AsyncDisposable {
  readonly #make: () => Promise<T>;
  readonly #idleMs: number;
  readonly #leaving = new Set<Promise<void>>();
  #made: Promise<T | undefined> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(make: () => Promise<T>, options: { idleMs: number }) {
    this.#make = make;
    this.#idleMs = options.idleMs;
  }

  /** Begins to make one, unless there is one. Never fails: whoever wants it then makes it without. */
  prepare(): void {
    if (this.#stopped || this.#made) return;
    this.#made = this.#make().catch(() => undefined);
    this.#timer = setTimeout(() => void this.#discard(), this.#idleMs);
    this.#timer.unref();
  }

  /** The one that is there, or on its way; from now on it is the caller's. */
  async take(): Promise<T | undefined> {
    const made = this.#made;
    this.#made = undefined;
    clearTimeout(this.#timer);
    return made;
  }

  /** None is made from now on, and none is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    void this.#discard();
    await Promise.all(this.#leaving);
  }

  async #discard(): Promise<void> {
    const leaving = this.take().then(async (spare) => {
      await spare?.[Symbol.asyncDispose]();
    });
    this.#leaving.add(leaving);
    try {
      await leaving;
    } catch {
      // What it could not take away is found at the next start.
    } finally {
      this.#leaving.delete(leaving);
    }
  }
}
