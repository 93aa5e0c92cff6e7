import { randomBytes } from 'node:crypto';
import { mkdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyedLock } from '#async/keyed-lock.ts';
import type { Digest } from '#oci/digest.ts';
import type { Mounter } from '#worker/snapshots/mount.ts';
import { overlayMount } from '#worker/snapshots/mount-options.ts';
import type { Snapshotter } from '#worker/snapshots/snapshotter.ts';
import type { RefMounts } from '../export/ref-mounts.ts';
import type { Ref } from '../solve/ref.ts';
import type { Layers, RequireOptions } from './layers.ts';

/** A ref's files at a directory of this machine, to be read only. */
export interface RefView extends AsyncDisposable {
  readonly root: string;
}

interface SharedMount {
  readonly root: string;
  /** Directories that were made for it. */
  readonly places: readonly string[];
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
      const mount = this.#mounts.get(snapshot) ?? (await this.#mount(snapshot));
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

  async #mount(snapshot: Digest): Promise<SharedMount> {
    const { layers, snapshotter, mounter } = this.#ports;
    const pin = layers.pin(snapshot);
    const places: string[] = [];
    try {
      const stack = await snapshotter.mount(snapshot);
      const root = await this.#place();
      places.push(root);
      // Of one layer alone the marks of what it takes away would be seen as files.
      if (stack.type === 'bind') places.push(await this.#place());
      await mounter.mount(stack.type === 'bind' ? overlayMount([stack.source, places[1]!]) : stack, root);
      const mount = { root, places, pin, users: 0 };
      this.#mounts.set(snapshot, mount);
      return mount;
    } catch (error) {
      pin[Symbol.dispose]();
      for (const place of places) await rmdir(place);
      throw error;
    }
  }

  async #leave(snapshot: Digest, mount: SharedMount): Promise<void> {
    if (--mount.users > 0) return;
    this.#mounts.delete(snapshot);
    mount.pin[Symbol.dispose]();
    await this.#ports.mounter.unmount(mount.root);
    for (const place of mount.places) await rmdir(place);
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
