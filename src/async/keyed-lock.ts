/**
 * Mutual exclusion by key: tasks under one key run one after another, in the order they asked; tasks under
 * different keys run at once. A key without waiters takes no memory.
 */
export class KeyedLock<K = string> {
  readonly #tails = new Map<K, Promise<void>>();

  async run<T>(key: K, task: () => Promise<T> | T): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const tail = before.then(() => done);
    this.#tails.set(key, tail);
    await before;
    try {
      return await task();
    } finally {
      resolve();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}
