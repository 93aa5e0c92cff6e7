import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '#oci/digest.ts';
import type { ImageSource } from '#worker/images/image-source.ts';
import type { Mounter } from '#worker/snapshots/mount.ts';
import { volatileMount } from '#worker/snapshots/mount-options.ts';
import type { Snapshotter } from '#worker/snapshots/snapshotter.ts';

/** Names of the snapshots that steps work in; what is found of them at start is a killed worker's. */
export const STEP_SNAPSHOT_PREFIX = 'build-';

export interface Workspace {
  /** The mounted root file system. */
  readonly root: string;
  /** Holds only what changes; not to be touched while it is mounted. */
  readonly upper: string;
}

/** Gives steps file systems to write in, and makes layers of what they wrote. */
export class LayerWorkspace {
  readonly #images: ImageSource;
  readonly #snapshotter: Snapshotter;
  readonly #mounter: Mounter;
  readonly #directory: string;

  /** `directory` is for mount points. */
  constructor(
    ports: { images: ImageSource; snapshotter: Snapshotter; mounter: Mounter },
    options: { directory: string },
  ) {
    this.#images = ports.images;
    this.#snapshotter = ports.snapshotter;
    this.#mounter = ports.mounter;
    this.#directory = options.directory;
  }

  /**
   * Runs `task` in a writable file system on top of `parent`; `tidy` may then clean the unmounted changes. What is
   * left becomes a layer, retained for `user`: undefined when nothing changed. When something throws, nothing is left.
   */
  async layer(
    parent: Digest | undefined,
    user: string,
    task: (workspace: Workspace) => Promise<void>,
    tidy?: (workspace: Workspace) => Promise<void>,
  ): Promise<{ diffId: Digest; bytes: number } | undefined> {
    const key = `${STEP_SNAPSHOT_PREFIX}${randomBytes(16).toString('hex')}`;
    const mount = await this.#snapshotter.prepare(key, parent);
    try {
      const upper = await this.#snapshotter.directory(key);
      const root = await this.#mountPoint();
      try {
        await this.#mounter.mount(volatileMount(mount), root);
        await task({ root, upper });
      } finally {
        await this.#mounter.unmount(root);
        await rmdir(root);
      }
      await tidy?.({ root, upper });
      if ((await readdir(upper)).length === 0) {
        await this.#snapshotter.remove(key);
        return undefined;
      }
      return await this.#images.commitLayer(key, { user });
    } catch (error) {
      await this.#snapshotter.remove(key);
      throw error;
    }
  }

  /** Runs `task` with a file system mounted to be read. */
  async reading<T>(snapshot: Digest, task: (root: string) => Promise<T>): Promise<T> {
    const root = await this.#mountPoint();
    try {
      await this.#mounter.mount(await this.#snapshotter.mount(snapshot), root);
      return await task(root);
    } finally {
      await this.#mounter.unmount(root);
      await rmdir(root);
    }
  }

  async #mountPoint(): Promise<string> {
    const root = join(this.#directory, randomBytes(8).toString('hex'));
    await mkdir(root, { recursive: true });
    return root;
  }
}
