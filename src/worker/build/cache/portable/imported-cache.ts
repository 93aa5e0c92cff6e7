import { Semaphore } from '#async/semaphore.ts';
import { canceled, isKind } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import type { LayersRef } from '../../solve/ref.ts';
import type { CacheRecord } from '../cache-store.ts';
import type { CacheSource } from './cache-source.ts';
import type { RecordIndex } from './record-index.ts';

/** A step that a build may take from a cache that it was told of. */
export interface ImportedRecord extends CacheRecord {
  readonly cache: ImportedCache;
}

export function isImported(record: CacheRecord): record is ImportedRecord {
  return 'cache' in record;
}

const AT_ONCE = 8;

/**
 * A cache that a build was told of. It is read when it is first asked for; a layer, when somebody reads its files. It
 * is that build's alone: what others are given comes from what was done here.
 */
export class ImportedCache {
  readonly #source: Promise<CacheSource>;
  readonly #read: () => Promise<readonly RecordIndex[]>;
  readonly #slots = new Semaphore(AT_ONCE);
  readonly #there = new Map<string, Promise<boolean>>();
  readonly #lost = new Set<string>();
  #indexes: Promise<readonly RecordIndex[]> | undefined;

  /** `read` tells its failure itself; a cache that cannot be read is empty. */
  constructor(source: Promise<CacheSource>, read: () => Promise<readonly RecordIndex[]>) {
    source.catch(() => undefined);
    this.#source = source;
    this.#read = read;
  }

  indexes(): Promise<readonly RecordIndex[]> {
    this.#indexes ??= this.#read().catch((error: unknown) => {
      if (isKind(error, 'canceled')) throw error;
      return [];
    });
    return this.#indexes;
  }

  /** A record of these outcomes, unless layers of them were found to be missing. */
  record(outputs: readonly LayersRef[]): ImportedRecord | undefined {
    const layers = distinct(outputs);
    if (layers.some((digest) => this.#lost.has(digest))) return undefined;
    return { id: digestOf(layers.join(' ')), outputs, cache: this };
  }

  /** Its outcomes, if all layers are there; if not, no record of them will be found again. */
  async load({ outputs }: ImportedRecord, { signal }: { signal: AbortSignal }): Promise<boolean> {
    const layers = distinct(outputs);
    const there = await Promise.all(layers.map((digest) => this.#isThere(digest, signal)));
    if (signal.aborted) throw canceled();
    for (const [at, digest] of layers.entries()) if (!there[at]) this.#lost.add(digest);
    return !there.includes(false);
  }

  #isThere(digest: string, signal: AbortSignal): Promise<boolean> {
    const asked =
      this.#there.get(digest) ??
      this.#slots.run(async () => {
        try {
          const source = await this.#source;
          return await source.hasBlob(digest as Parameters<CacheSource['hasBlob']>[0], { signal });
        } catch {
          return false;
        }
      });
    this.#there.set(digest, asked);
    return asked;
  }
}

function distinct(outputs: readonly LayersRef[]): string[] {
  const blobs = outputs.flatMap(({ layers }) => layers.map(({ remote }) => remote?.descriptor.digest));
  return [...new Set(blobs.filter((digest) => digest !== undefined))];
}
