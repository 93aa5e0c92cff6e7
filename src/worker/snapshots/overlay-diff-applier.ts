import type { Digest } from '#oci/digest.ts';
import type { AppliedDiff, DiffApplier } from './diff.ts';
import type { Snapshotter } from './snapshotter.ts';
import type { TreePool } from './tree/tree-pool.ts';

export interface OverlayDiffApplierOptions {
  /** Bytes of one layer's uncompressed tar. */
  readonly maxLayerBytes?: number;
  readonly maxLayerEntries?: number;
}

/** Unpacks layers straight into overlay's upper directory, in a thread. Nothing needs to be mounted for it. */
export class OverlayDiffApplier implements DiffApplier {
  readonly #snapshots: Snapshotter;
  readonly #trees: TreePool;
  readonly #limits: { maxBytes: number; maxEntries: number };

  constructor(ports: { snapshotter: Snapshotter; trees: TreePool }, options: OverlayDiffApplierOptions = {}) {
    this.#snapshots = ports.snapshotter;
    this.#trees = ports.trees;
    this.#limits = {
      maxBytes: options.maxLayerBytes ?? 256 * 1024 ** 3,
      maxEntries: options.maxLayerEntries ?? 10_000_000,
    };
  }

  async apply(
    key: string,
    tar: AsyncIterable<Uint8Array>,
    options: { signal?: AbortSignal } = {},
  ): Promise<AppliedDiff> {
    const root = await this.#snapshots.directory(key);
    const result = await this.#trees.run(
      { op: 'unpack', root, limits: this.#limits },
      { input: tar, signal: options.signal },
    );
    return { diffId: result.diffId as Digest, bytes: result.bytes, tarBytes: result.tarBytes };
  }
}
