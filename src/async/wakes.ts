/** Lets those that wait for something know that it may have come. One wake is enough for all that has come since. */
export class Wakes {
  #count = 0;
  #waiting = new Set<() => void>();

  wake(): void {
    this.#count++;
    for (const go of this.#waiting) go();
  }

  /** Where a waiter is that has seen all so far. */
  get now(): number {
    return this.#count;
  }

  /** Until there was a wake after `seen`, or `patience` milliseconds have passed, or the signal aborts. */
  async after(seen: number, patience: number, signal: AbortSignal): Promise<void> {
    if (this.#count > seen || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, patience);
    this.#waiting.add(resolve);
    const leave = () => resolve();
    signal.addEventListener('abort', leave);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', leave);
      this.#waiting.delete(resolve);
    }
  }
}
