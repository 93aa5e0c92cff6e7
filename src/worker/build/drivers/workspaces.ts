import { randomBytes } from 'node:crypto';
import { mkdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AppliedDiff } from '#worker/snapshots/diff.ts';
import type { Mount, Mounter } from '#worker/snapshots/mount.ts';
import { overlayMount, volatileMount } from '#worker/snapshots/mount-options.ts';
import type { Snapshotter } from '#worker/snapshots/snapshotter.ts';
import type { FilePool } from '../files/file-pool.ts';
import type { DirectoryRef, LayersRef, Ref } from '../solve/ref.ts';
import type { Layers, RequireOptions } from './layers.ts';

/** Names of the snapshots that steps work in; what is found of them at start is a killed worker's. */
export const STEP_SNAPSHOT_PREFIX = 'build-';

/** A file system that one step writes in. Disposed of without `commit`, nothing is left of it. */
export interface Workspace extends AsyncDisposable {
  readonly root: string;
  /** Holds only what changes; not to be touched before `close`. */
  readonly upper: string;
  /** Unmounts it: `upper` may be tidied then. */
  close(): Promise<void>;
  /** Makes a layer of what was changed, also when that is nothing, on top of what it began with. */
  commit(): Promise<LayersRef>;
}

/** A layer that is being written. Disposed of without `commit`, nothing is left of it. */
interface BlankLayer extends AsyncDisposable {
  /** Empty; becomes the layer, as overlayfs keeps one. */
  readonly upper: string;
  /** What it stands on, top first. */
  readonly lowers: readonly string[];
  /** `diff`: of what was written, which changes nothing that it does not have to. */
  commit(diff: AppliedDiff): Promise<LayersRef>;
}

export interface WorkspacesPorts {
  readonly layers: Layers;
  readonly snapshotter: Snapshotter;
  readonly mounter: Mounter;
  readonly files: FilePool;
}

/** Makes refs' files writable, each time anew. */
export class Workspaces {
  readonly #ports: WorkspacesPorts;
  readonly #directory: string;

  /** `directory` is for mount points. */
  constructor(ports: WorkspacesPorts, options: { directory: string }) {
    this.#ports = ports;
    this.#directory = options.directory;
  }

  /**
   * `mounted`: it is to be the root of a container, or others' files are in the way of seeing all of it in `upper`.
   * Throws as `Layers.require`.
   */
  async open(ref: Ref, options: RequireOptions & { mounted: boolean }): Promise<Workspace> {
    const base = ref.kind === 'layers' ? ref : await this.import(ref, options);
    const parent = await this.#ports.layers.require(base, options);
    const key = newKey();
    const { snapshotter } = this.#ports;
    const mount = await snapshotter.prepare(key, parent);
    const remove = () => snapshotter.remove(key);
    try {
      const upper = await snapshotter.directory(key);
      const bare = parent === undefined && !options.mounted;
      const target = bare ? undefined : await this.#mount(volatileMount(mount));
      const commit = async (): Promise<LayersRef> => {
        const layer = await this.#ports.layers.commit(key);
        return { kind: 'layers', layers: [...base.layers, layer] };
      };
      return new OpenWorkspace(target ?? upper, upper, {
        close: async () => target && this.#unmount(target),
        commit,
        remove,
      });
    } catch (error) {
      await remove();
      throw error;
    }
  }

  /**
   * Room for a layer on top of what a ref has, for somebody who writes it without looking at what is below through a
   * mount. Throws as `Layers.require`.
   */
  async blank(ref: LayersRef, options: RequireOptions): Promise<BlankLayer> {
    const parent = await this.#ports.layers.require(ref, options);
    const key = newKey();
    const { snapshotter, layers } = this.#ports;
    await snapshotter.prepare(key, parent);
    let committed = false;
    try {
      return {
        upper: await snapshotter.directory(key),
        lowers: await snapshotter.lowerDirectories(key),
        async commit(diff) {
          const layer = await layers.commit(key, diff);
          committed = true;
          return { kind: 'layers', layers: [...ref.layers, layer] };
        },
        async [Symbol.asyncDispose]() {
          if (!committed) await snapshotter.remove(key);
        },
      };
    } catch (error) {
      await snapshotter.remove(key);
      throw error;
    }
  }

  /** A directory's files with room to write over them, which nobody will ask for. */
  async scratch(ref: DirectoryRef): Promise<{ readonly root: string } & AsyncDisposable> {
    const room = join(this.#directory, `room-${randomBytes(8).toString('hex')}`);
    const [directory, work] = [join(room, 'upper'), join(room, 'work')];
    await mkdir(directory, { recursive: true });
    await mkdir(work);
    const root = await this.#mount(volatileMount(overlayMount([ref.root], { directory, work })));
    return {
      root,
      [Symbol.asyncDispose]: async () => {
        await this.#unmount(root);
        await rm(room, { recursive: true, force: true });
      },
    };
  }

  /** A layer with a directory's files. */
  async import(ref: DirectoryRef, { signal }: { signal: AbortSignal }): Promise<LayersRef> {
    const empty: LayersRef = { kind: 'layers', layers: [] };
    await using workspace = await this.open(empty, { signal, mounted: false });
    await this.#ports.files.run('importTree', { source: ref.root, target: workspace.root }, { signal });
    return await workspace.commit();
  }

  async #mount(mount: Mount): Promise<string> {
    const root = join(this.#directory, randomBytes(8).toString('hex'));
    await mkdir(root, { recursive: true });
    await this.#ports.mounter.mount(mount, root);
    return root;
  }

  async #unmount(root: string): Promise<void> {
    await this.#ports.mounter.unmount(root);
    await rmdir(root);
  }
}

function newKey(): string {
  return `${STEP_SNAPSHOT_PREFIX}${randomBytes(16).toString('hex')}`;
}

class OpenWorkspace implements Workspace {
  readonly root: string;
  readonly upper: string;
  readonly #doing: {
    readonly close: () => Promise<unknown>;
    readonly commit: () => Promise<LayersRef>;
    readonly remove: () => Promise<void>;
  };
  #closed: Promise<unknown> | undefined;
  #committed = false;

  constructor(
    root: string,
    upper: string,
    doing: {
      close: () => Promise<unknown>;
      commit: () => Promise<LayersRef>;
      remove: () => Promise<void>;
    },
  ) {
    this.root = root;
    this.upper = upper;
    this.#doing = doing;
  }

  async close(): Promise<void> {
    this.#closed ??= this.#doing.close();
    await this.#closed;
  }

  async commit(): Promise<LayersRef> {
    await this.close();
    const ref = await this.#doing.commit();
    this.#committed = true;
    return ref;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    if (!this.#committed) await this.#doing.remove();
  }
}
