import type { CacheRecord, CacheStore, FinishedStep } from '#worker/build/cache/cache-store.ts';
import { Lease } from '#worker/build/solve/lease.ts';
import type { LayersRef } from '#worker/build/solve/ref.ts';

/** A cache that forgets what it is told to, and counts who holds what. */
export class MemoryCache implements CacheStore {
  readonly records = new Map<string, CacheRecord>();
  readonly lost = new Set<string>();
  held = 0;
  asked = 0;
  #next = 0;

  async find(keys: readonly string[]): Promise<Map<string, CacheRecord>> {
    this.asked++;
    return new Map(keys.flatMap((key) => (this.records.has(key) ? [[key, this.records.get(key)!]] : [])));
  }

  async load(record: CacheRecord) {
    if (this.lost.has(record.id)) {
      this.forget(record.id);
      return undefined;
    }
    return { refs: record.outputs, lease: this.#lease() };
  }

  async save({ keys, outputs }: FinishedStep) {
    if (outputs.every((output): output is LayersRef => output.kind === 'layers')) {
      const record = { id: `${this.#next++}`, outputs };
      for (const key of keys) this.records.set(key, record);
    }
    return this.#lease();
  }

  async link(key: string, record: CacheRecord) {
    this.records.set(key, record);
  }

  forget(id: string): void {
    for (const [key, record] of this.records) if (record.id === id) this.records.delete(key);
  }

  #lease(): Lease {
    this.held++;
    return new Lease(async () => {
      this.held--;
    });
  }
}
