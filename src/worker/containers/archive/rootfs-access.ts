import { constants, type FileHandle, open, readFile } from 'node:fs/promises';
import type { KeyedLock } from '#async/keyed-lock.ts';
import { conflict } from '#errors/errors.ts';
import type { Mounter } from '../../snapshots/mount.ts';
import type { Snapshotter } from '../../snapshots/snapshotter.ts';
import type { Container } from '../container.ts';
import { ContainerFiles } from '../container-files.ts';
import { ContainerTree, O_PATH } from './container-tree.ts';

export interface RootfsPorts {
  readonly lock: KeyedLock;
  readonly snapshotter: Snapshotter;
  readonly mounter: Mounter;
  readonly root: string;
}

/** Gives access to containers' files: of a running one as it sees them, of another by mounting them meanwhile. */
export class RootfsAccess {
  readonly #ports: RootfsPorts;

  constructor(ports: RootfsPorts) {
    this.#ports = ports;
  }

  /** With everything that is mounted in the container. */
  async use<T>(container: Container, task: (tree: ContainerTree, root: string) => Promise<T>): Promise<T> {
    if (container.running) {
      await using root = await openRoot(container);
      const path = `/proc/self/fd/${root.fd}`;
      return await task(new ContainerTree(path), path);
    }
    const mounts = container.record.mounts.filter((mount) => mount.type !== 'tmpfs');
    return this.#mounted(container, (path) => task(new ContainerTree(path, mounts), path));
  }

  /** Only its own file system. */
  async useRootOnly<T>(container: Container, task: (tree: ContainerTree) => Promise<T>): Promise<T> {
    return this.#mounted(container, (path) => task(new ContainerTree(path)));
  }

  /** A stopped one stays stopped meanwhile: its lock is held. */
  async #mounted<T>(container: Container, task: (path: string) => Promise<T>): Promise<T> {
    const { lock, snapshotter, mounter, root } = this.#ports;
    const { rootfs } = new ContainerFiles(root, container.id);
    if (container.running) return task(rootfs);
    return lock.run(container.id, async () => {
      if (container.running) return task(rootfs);
      await mounter.mount(await snapshotter.mount(container.id), rootfs);
      try {
        return await task(rootfs);
      } finally {
        await mounter.unmount(rootfs);
      }
    });
  }
}

/** Its process may have ended meanwhile and another have its PID: whose root that would be is looked at afterwards. */
async function openRoot(container: Container): Promise<FileHandle> {
  const { pid } = container.runningTask;
  const ended = () => conflict(`container ${container.id} is not running`);
  const root = await open(`/proc/${pid}/root`, O_PATH | constants.O_DIRECTORY).catch(() => undefined);
  if (!root) throw ended();
  const cgroups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
  if (cgroups.includes(container.id)) return root;
  await root.close();
  throw ended();
}
