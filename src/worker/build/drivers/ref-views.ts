import { randomBytes } from 'node:crypto';
import { mkdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyedLock } from '#async/keyed-lock.ts';
import type { Digest } from '#oci/digest.ts';
import type { Mounter } from '#worker/snapshots/mount.ts';
import type { Snapshotter } from '#worker/snapshots/snapshotter.ts';
import type { RefMounts } from '../export/ref-mounts.ts';
import type { LayersRef, Ref } from '../solve/ref.ts';
import type { Layers, RequireOptions } from './layers.ts';

/** A ref's files at a directory of this machine, to be read only. */
export interface RefView extends AsyncDisposable {
  readonly root: string;
}

interface SharedMount {
  readonly root: string;
  readonly pin: Disposable;
  users: number;
}

/** Shows refs' files. Whoever looks at the same layers at the same time shares a mount. */
export class RefViews implements RefMounts {
  readonly #ports: {
    readonly layers: Layers;
    readonly snapshotter: Snapshotter;
    readonly mounter: Mounter;
  };
  readonly #directory: string;
  readonly #locks = new KeyedLock();
  readonly #mounts = new Map<Digest, SharedMount>();

  /** `directory` is for mount points. */
  constructor(
    ports: { layers: Layers; snapshotter: Snapshotter; mounter: Mounter },
    options: { directory: string },
  ) {
    this.#ports = ports;
    this.#directory = options.directory;
  }

  /** Throws as `Layers.require`. */
  async open(ref: Ref, options: RequireOptions): Promise<RefView> {
    if (ref.kind === 'directory') return { root: ref.root, [Symbol.asyncDispose]: async () => {} };
    const snapshot = await this.#ports.layers.require(ref, options);
    if (snapshot === undefined) return this.#empty();
    return this.#locks.run(snapshot, async () => {
      const mount = this.#mounts.get(snapshot) ?? (await this.#mount(ref, snapshot));
      mount.users++;
      let open = true;
      return {
        root: mount.root,
        [Symbol.asyncDispose]: async () => {
          if (!open) return;
          open = false;
          await this.#locks.run(snapshot, () => this.#leave(snapshot, mount));
        },
      };
    });
  }

  async reading<T>(
    refs: ReadonlyMap<string, Ref | undefined>,
    task: (root: string) => Promise<T>,
    { signal }: { signal: AbortSignal },
  ): Promise<T> {
    await using open = new AsyncDisposableStack();
    const view = async (ref: Ref | undefined) =>
      open.use(ref ? await this.open(ref, { signal }) : await this.#empty()).root;
    if (refs.size === 1 && refs.has('')) return await task(await view(refs.get('')));
    const root = open.adopt(await this.#place(), (path) => rm(path, { recursive: true, force: true }));
    for (const [name, ref] of refs) {
      const target = join(root, name);
      await mkdir(target);
      const source = await view(ref);
      await this.#ports.mounter.mount({ type: 'bind', source, options: ['bind', 'ro'] }, target);
      open.defer(() => this.#ports.mounter.unmount(target));
    }
    return await task(root);
  }

  async #mount(ref: LayersRef, snapshot: Digest): Promise<SharedMount> {
    const { layers, snapshotter, mounter } = this.#ports;
    const pin = layers.pin(snapshot);
    try {
      // One layer alone is a directory already.
      const single = ref.layers.length === 1;
      const root = single ? await snapshotter.directory(snapshot) : await this.#place();
      if (!single) await mounter.mount(await snapshotter.mount(snapshot), root);
      const mount = { root, pin, users: 0 };
      this.#mounts.set(snapshot, mount);
      return mount;
    } catch (error) {
      pin[Symbol.dispose]();
      throw error;
    }
  }

  async #leave(snapshot: Digest, mount: SharedMount): Promise<void> {
    if (--mount.users > 0) return;
    this.#mounts.delete(snapshot);
    mount.pin[Symbol.dispose]();
    if (!mount.root.startsWith(`${this.#directory}/`)) return;
    await this.#ports.mounter.unmount(mount.root);
    await rmdir(mount.root);
  }

  async #empty(): Promise<RefView> {
    const root = await this.#place();
    return { root, [Symbol.asyncDispose]: () => rmdir(root) };
  }

  async #place(): Promise<string> {
    const root = join(this.#directory, randomBytes(8).toString('hex'));
    await mkdir(root, { recursive: true });
    return root;
  }
}
