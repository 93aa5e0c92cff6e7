import { lstatSync, rmdirSync, type Stats, unlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { systemCode } from '#errors/errors.ts';
import { getXattr } from '#worker/snapshots/libc.ts';
import { OPAQUE_XATTR } from '#worker/snapshots/tree/overlay-marks.ts';
import { RootedDirectory } from '../../files/rooted-directory.ts';

/** A mounted root file system, and the directory that holds only what changes in it. */
interface Rootfs {
  readonly root: string;
  readonly upper: string;
}

interface Stub {
  /** Relative to the root. */
  readonly path: string;
  /** The directory that it would be made in, as it was. */
  readonly parent?: {
    readonly path: string;
    readonly mode: number;
    readonly uid: number;
    readonly gid: number;
  };
}

/**
 * The runtime makes files and directories to mount on where the image has none. They must not be in the layer:
 * remembers what is missing before a command runs, and takes away what is still empty after it. Synchronous: a dozen
 * calls of microseconds, each of which would wait longer for a thread.
 */
export class MountStubs {
  readonly #stubs: readonly Stub[];

  private constructor(stubs: readonly Stub[]) {
    this.#stubs = stubs;
  }

  static before({ root }: Rootfs, destinations: readonly string[]): MountStubs {
    const rooted = new RootedDirectory(root);
    const missing = new Set(destinations.flatMap((path) => rooted.missing(path)));
    const stubs = [...missing].sort().map((path): Stub => {
      const parent = posix.dirname(path);
      if (missing.has(parent)) return { path: path.slice(root.length + 1) };
      const { mode, uid, gid } = lstatSync(parent);
      return {
        path: path.slice(root.length + 1),
        parent: { path: parent.slice(root.length + 1), mode, uid, gid },
      };
    });
    return new MountStubs(stubs);
  }

  /** `upper` is no longer mounted, and nobody writes in it. */
  remove({ upper }: Rootfs): void {
    for (const { path, parent } of this.#stubs.toReversed()) {
      if (!isPlain(upper, path) || !removeEmpty(posix.join(upper, path))) continue;
      if (parent && parent.path !== '') removeUnchanged(posix.join(upper, parent.path), parent);
    }
  }
}

/** Whether directories alone lead to a path: the command could move them away, and put links to anywhere there. */
function isPlain(upper: string, path: string): boolean {
  const parents = path.split('/').slice(0, -1);
  return parents.every((_, at) => statOf(posix.join(upper, ...parents.slice(0, at + 1)))?.isDirectory());
}

/** Whether there was an empty file or directory, and is no more. */
function removeEmpty(path: string): boolean {
  const stats = statOf(path);
  if (stats?.isFile() && stats.size === 0) unlinkSync(path);
  else if (!stats?.isDirectory() || !removedDirectory(path)) return false;
  return true;
}

/** A directory that is in the upper layer only because a stub was made in it says nothing any more. */
function removeUnchanged(path: string, before: NonNullable<Stub['parent']>): void {
  const stats = statOf(path);
  if (!stats?.isDirectory()) return;
  const same = stats.mode === before.mode && stats.uid === before.uid && stats.gid === before.gid;
  if (same && getXattr(path, OPAQUE_XATTR) === undefined) removedDirectory(path);
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // A file is in the way.
    if (systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

function removedDirectory(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOTEMPTY' || systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}
