import type { Digest } from '#oci/digest.ts';
import type { AppliedDiff, Change, DiffComparer, TarOptions } from './diff.ts';
import type { OverlaySnapshotter } from './overlay-snapshotter.ts';
import type { TreePool } from './tree/tree-pool.ts';

/** Reads a snapshot's changes from overlay's upper directory, in a thread. */
export class OverlayDiffComparer implements DiffComparer {
  readonly #snapshots: Pick<OverlaySnapshotter, 'directory' | 'lowerDirectories'>;
  readonly #trees: TreePool;

  constructor(ports: { snapshotter: OverlaySnapshotter; trees: TreePool }) {
    this.#snapshots = ports.snapshotter;
    this.#trees = ports.trees;
  }

  async *tar(key: string, options: TarOptions = {}): AsyncGenerator<Uint8Array> {
    yield* this.#trees.stream({ op: 'pack', root: await this.#snapshots.directory(key) }, options);
  }

  async digest(key: string, { settle = false } = {}): Promise<AppliedDiff> {
    const root = await this.#snapshots.directory(key);
    const lowers = settle ? await this.#snapshots.lowerDirectories(key) : undefined;
    const { diffId, ...sizes } = await this.#trees.run({ op: 'digest', root, ...(lowers && { lowers }) });
    return { diffId: diffId as Digest, ...sizes };
  }

  async changes(key: string): Promise<Change[]> {
    const root = await this.#snapshots.directory(key);
    const lowers = await this.#snapshots.lowerDirectories(key);
    return this.#trees.run({ op: 'changes', root, lowers });
  }
}
