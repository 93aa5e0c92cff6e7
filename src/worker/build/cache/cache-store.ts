import type { Op } from '../llb/op.ts';
import type { Holdable } from '../solve/lease.ts';
import type { LayersRef, Ref } from '../solve/ref.ts';

/** What came of a step once. Whether its layers are still to be had shows when it is loaded. */
export interface CacheRecord {
  readonly id: string;
  /** Of each of the step's outputs, the layers; without where they are to be had. */
  readonly outputs: readonly LayersRef[];
}

/** A step that was just done. */
export interface FinishedStep {
  /** What it is to be found by; an earlier record of a key gives way. */
  readonly keys: readonly string[];
  readonly kind: Op['kind'];
  /** For people: `[build 2/5] RUN make`. */
  readonly description: string;
  readonly inputs: readonly Ref[];
  readonly outputs: readonly Ref[];
  readonly createdAt: Date;
}

/** What others need to know of it. */
export type SharedStep = Omit<FinishedStep, 'inputs'>;

/**
 * Remembers steps by their keys, in one tier or in several (this machine's, then the registry's). Its keys are opaque
 * to it. Throws only when `signal` aborts: a tier that fails is one that knows nothing.
 */
export interface CacheStore {
  /** The records of those keys that are known. One call a batch: a tier may be a network away. */
  find(keys: readonly string[], options: FindOptions): Promise<ReadonlyMap<string, CacheRecord>>;

  /** A record's refs, there until the lease is released. undefined: they are lost, and the record is forgotten. */
  load(record: CacheRecord, options: { signal: AbortSignal }): Promise<LoadedRecord | undefined>;

  /**
   * Remembers a step whose outputs are all layers that are here; for others it does nothing. A tier that is far away
   * may have it later. What is answered is a lease, which keeps the outputs meanwhile.
   */
  save(step: FinishedStep): Promise<SavedStep>;

  /** Finds a record by one more key. */
  link(key: string, record: CacheRecord): Promise<void>;
}

export interface SavedStep extends Holdable {
  /** Its way to where others find it; undefined where there is no such place. */
  readonly sharing?: Sharing;
}

export interface Sharing {
  /** Resolves when it is there, or will not be there soon. */
  readonly settled: Promise<unknown>;
  /** Somebody waits for it: it is brought at once, and at full pace. */
  hurry(): void;
}

export interface FindOptions {
  readonly signal: AbortSignal;
  /** Do not ask tiers that are far away: they have been asked just before. */
  readonly nearby?: boolean;
  /** The one that is needed: when that is near, tiers that are far away are not asked for the others. */
  readonly wanted?: string;
}

export interface LoadedRecord {
  readonly refs: readonly Ref[];
  readonly lease: Holdable;
}
