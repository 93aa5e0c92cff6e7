import type { CacheRecord, CacheStore } from '../cache/cache-store.ts';

/** One build's lookups, many at a time: what is asked for takes along what may be asked for soon. */
export class RecordLookups {
  readonly #cache: CacheStore;
  readonly #signal: AbortSignal;
  readonly #wishes = new Set<string>();
  readonly #answers = new Map<string, Promise<CacheRecord | undefined>>();

  constructor(cache: CacheStore, signal: AbortSignal) {
    this.#cache = cache;
    this.#signal = signal;
  }

  /** It will perhaps be asked for. */
  wish(key: string): void {
    if (!this.#answers.has(key)) this.#wishes.add(key);
  }

  find(key: string): Promise<CacheRecord | undefined> {
    this.wish(key);
    if (this.#wishes.size > 0) this.#ask();
    return this.#answers.get(key)!;
  }

  /** What was found has turned out to be lost. */
  lookAgain(): void {
    this.#answers.clear();
  }

  #ask(): void {
    const keys = [...this.#wishes];
    this.#wishes.clear();
    const found = this.#cache.find(keys, { signal: this.#signal });
    for (const key of keys) {
      const answer = found.then((records) => records.get(key));
      answer.catch(() => undefined);
      this.#answers.set(key, answer);
    }
  }
}
