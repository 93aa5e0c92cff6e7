import { canceled } from '#errors/errors.ts';

interface Waiting {
  readonly grant: () => void;
}

/** Bounds how many tasks run at once. Those who wait get their turns one owner after the other. */
export class FairSlots {
  readonly #limit: number;
  #free: number;
  /** By owner, in the order of their turns. */
  readonly #waiting = new Map<string, Set<Waiting>>();

  constructor(limit: number) {
    this.#limit = limit;
    this.#free = limit;
  }

  /** How many run. */
  get taken(): number {
    return this.#limit - this.#free;
  }

  /** Throws `canceled` when `signal` aborts before its turn. */
  async run<T>(owner: string, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    await this.#acquire(owner, signal);
    try {
      return await task();
    } finally {
      this.#release();
    }
  }

  async #acquire(owner: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw canceled();
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = { grant: resolve };
    const queue = this.#waiting.get(owner) ?? new Set();
    this.#waiting.set(owner, queue.add(waiting));
    const give = () => {
      queue.delete(waiting);
      if (queue.size === 0 && this.#waiting.get(owner) === queue) this.#waiting.delete(owner);
      reject(canceled());
    };
    signal.addEventListener('abort', give, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', give);
    }
  }

  #release(): void {
    const next = this.#waiting.entries().next().value;
    if (!next) {
      this.#free++;
      return;
    }
    const [owner, queue] = next;
    const [first] = queue;
    queue.delete(first!);
    // To the end of the line.
    this.#waiting.delete(owner);
    if (queue.size > 0) this.#waiting.set(owner, queue);
    first!.grant();
  }
}
