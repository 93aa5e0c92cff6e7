import type { Digest } from '#oci/digest.ts';
import type { Op } from './op.ts';

/** A step that was run, and what came of it. */
export interface CacheRecord {
  readonly id: string;
  readonly kind: Op['kind'];
  /** For people: the instruction. */
  readonly description: string;
  /** The whole file system that it left, bottom first. */
  readonly diffIds: readonly Digest[];
  /** Bytes of the layer that it added; 0 when it added none. */
  readonly bytes: number;
  readonly createdAt: Date;
}

/**
 * Remembers steps by their keys. A record holds its layer in the image store (as layer user `build-cache:<id>`)
 * until it is removed, so that neither `rmi` nor a prune of images takes it away.
 */
export interface CacheStore {
  /** The record under a key, if all that it needs is still here. */
  find(key: string): Promise<CacheRecord | undefined>;

  /** The name to retain a record's layer by, while it is made. */
  userOf(recordId: string): string;

  /** Keeps a record under all its keys; a key's earlier record gives way. */
  save(record: CacheRecord, keys: readonly string[]): Promise<void>;
}
