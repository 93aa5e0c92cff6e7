import type { CacheRecord, CacheStore } from '../cache/cache-store.ts';

interface Batch {
  readonly wanted: string;
  readonly records: ReadonlyMap<string, CacheRecord>;
}

/** One build's lookups, many at a time: what is asked for takes along what may be asked for soon. */
export class RecordLookups {
  readonly #cache: CacheStore;
  readonly #signal: AbortSignal;
  readonly #wishes = new Set<string>();
  readonly #batches = new Map<string, Promise<Batch>>();

  constructor(cache: CacheStore, signal: AbortSignal) {
    this.#cache = cache;
    this.#signal = signal;
  }

  /** It will perhaps be asked for. */
  wish(key: string): void {
    if (!this.#batches.has(key)) this.#wishes.add(key);
  }

  /** `nearby`: far away it is not worth the way. */
  async find(key: string, { nearby = false } = {}): Promise<CacheRecord | undefined> {
    if (nearby) return (await this.#cache.find([key], { signal: this.#signal, nearby })).get(key);
    for (;;) {
      const asked = this.#batches.get(key) ?? this.#ask(key);
      const { wanted, records } = await asked;
      const record = records.get(key);
      // Where the one that was wanted was found, the others were not looked for everywhere.
      if (record || wanted === key || !records.has(wanted)) return record;
      if (this.#batches.get(key) === asked) this.#batches.delete(key);
    }
  }

  /** What was found has turned out to be lost. */
  lookAgain(): void {
    this.#batches.clear();
  }

  #ask(wanted: string): Promise<Batch> {
    const keys = [...this.#wishes.add(wanted)];
    this.#wishes.clear();
    const asked = this.#cache
      .find(keys, { signal: this.#signal, wanted })
      .then((records) => ({ wanted, records }));
    asked.catch(() => undefined);
    for (const key of keys) this.#batches.set(key, asked);
    return asked;
  }
}
