import { lstatSync, rmdirSync, type Stats, unlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { systemCode } from '#errors/errors.ts';
import { setPathTimes } from '#worker/snapshots/libc.ts';
import { RootedDirectory } from '../../files/rooted-directory.ts';

/** A mounted root file system, and the directory that holds only what changes in it. */
interface Rootfs {
  readonly root: string;
  readonly upper: string;
}

/**
 * The runtime makes files and directories to mount on where the image has none. They must not be in the layer:
 * remembers what is missing before a command runs, and takes away what is still empty after it. Synchronous: a dozen
 * calls of microseconds, each of which would wait longer for a thread.
 */
export class MountStubs {
  /** Relative to the root, outermost first. */
  readonly #paths: readonly string[];

  private constructor(paths: readonly string[]) {
    this.#paths = paths;
  }

  /** `recursive`: directories that are made on the way go, too. */
  static before(
    { root }: Rootfs,
    destinations: readonly string[],
    { recursive }: { recursive: boolean },
  ): MountStubs {
    const rooted = new RootedDirectory(root);
    const missing = destinations.flatMap((path) => rooted.missing(path).slice(recursive ? 0 : -1));
    return new MountStubs([...new Set(missing)].sort().map((path) => path.slice(root.length + 1)));
  }

  /** `upper` is no longer mounted, and nobody writes in it. */
  remove({ upper }: Rootfs): void {
    for (const path of this.#paths.toReversed()) {
      if (isPlain(upper, path)) removeEmpty(posix.join(upper, path));
    }
  }
}

/** Whether directories alone lead to a path: the command could move them away, and put links to anywhere there. */
function isPlain(upper: string, path: string): boolean {
  const parents = path.split('/').slice(0, -1);
  return parents.every((_, at) => statOf(posix.join(upper, ...parents.slice(0, at + 1)))?.isDirectory());
}

function removeEmpty(path: string): void {
  const stats = statOf(path);
  if (!stats) return;
  const parent = posix.dirname(path);
  const { mtimeMs } = lstatSync(parent);
  if (stats.isFile() && stats.size === 0) unlinkSync(path);
  else if (!stats.isDirectory() || !removedDirectory(path)) return;
  // The time that the command may have given it.
  const seconds = Math.floor(mtimeMs / 1000);
  setPathTimes(parent, seconds, Math.round((mtimeMs - seconds * 1000) * 1e6) % 1e9);
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
