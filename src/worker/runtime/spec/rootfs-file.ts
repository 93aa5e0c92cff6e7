import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '#errors/errors.ts';
import { type Step, walkRooted } from '#tar/rooted-path.ts';

const MAX_BYTES = 4 * 1024 * 1024;

// A FIFO would block its reader for ever, also one that takes the file's place after it was looked at.
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * A small text file of a container's root file system, empty when there is none. The image wrote every link on
 * the way, so each is followed inside the rootfs: a link to `/etc/passwd` is the image's, never the host's.
 *
 * Synchronous: a few calls of microseconds, of which each would wait longer for a thread.
 */
export function readRootfsFile(rootfs: string, path: string): string {
  const file = resolveInRootfs(rootfs, path);
  // A device could do anything: only regular files are opened.
  if (file === undefined || !lstatSync(file, { throwIfNoEntry: false })?.isFile()) return '';
  const handle = openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stats = fstatSync(handle);
    if (!stats.isFile()) return '';
    const buffer = Buffer.alloc(Math.min(stats.size, MAX_BYTES));
    return buffer.toString('utf8', 0, readSync(handle, buffer));
  } finally {
    closeSync(handle);
  }
}

/** The host path that `path` means inside the rootfs; undefined when some part of it does not exist. */
function resolveInRootfs(rootfs: string, path: string): string | undefined {
  const found = walkRooted(path, (candidate) => stepAt(join(rootfs, candidate)));
  return found === undefined ? undefined : join(rootfs, found);
}

function stepAt(path: string): Step {
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats?.isSymbolicLink()) return { target: readlinkSync(path) };
    return stats && 'here';
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
