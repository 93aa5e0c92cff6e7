import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openWorkerDatabase, type WorkerDatabase } from '#database/worker/open.ts';
import { KernelMounter } from '#worker/snapshots/kernel-mounter.ts';
import {
  OverlayDiffApplier,
  type OverlayDiffApplierOptions,
} from '#worker/snapshots/overlay-diff-applier.ts';
import { OverlayDiffComparer } from '#worker/snapshots/overlay-diff-comparer.ts';
import { OverlaySnapshotter } from '#worker/snapshots/overlay-snapshotter.ts';
import { TreePool } from '#worker/snapshots/tree/tree-pool.ts';

/** Real overlayfs snapshots in a temporary directory; disposing unmounts and removes all of it. */
export class OverlayWorld implements AsyncDisposable {
  readonly folder: string;
  readonly database: WorkerDatabase;
  readonly trees = new TreePool();
  readonly mounter = new KernelMounter();
  readonly snapshotter: OverlaySnapshotter;
  readonly applier: OverlayDiffApplier;
  readonly comparer: OverlayDiffComparer;

  private constructor(folder: string, database: WorkerDatabase, limits: OverlayDiffApplierOptions) {
    this.folder = folder;
    this.database = database;
    const trees = this.trees;
    const snapshotter = new OverlaySnapshotter({ database, trees }, { root: join(folder, 'snapshots') });
    this.snapshotter = snapshotter;
    this.applier = new OverlayDiffApplier({ snapshotter, trees }, limits);
    this.comparer = new OverlayDiffComparer({ snapshotter, trees });
  }

  static async open(folder?: string, limits: OverlayDiffApplierOptions = {}): Promise<OverlayWorld> {
    const root = folder ?? (await mkdtemp(join(tmpdir(), 'slipway-snapshots-')));
    const world = new OverlayWorld(root, await openWorkerDatabase(join(root, 'worker.db')), limits);
    await world.snapshotter.reconcile();
    return world;
  }

  /** Ends this one as a process would that is no more, and begins again on the same directory. */
  async restart(): Promise<OverlayWorld> {
    await this.close();
    return OverlayWorld.open(this.folder);
  }

  /** Leaves the files. */
  async close(): Promise<void> {
    for (const target of await this.mounter.mountsBelow(this.folder)) await this.mounter.unmount(target);
    await this.snapshotter.settled();
    await this.trees[Symbol.asyncDispose]();
    await this.database.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
