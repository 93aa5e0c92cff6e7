import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { join, sep } from 'node:path';
import { invalid, systemCode } from '#errors/errors.ts';

const MAX_LINKS = 40;
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
  const pending = parts(path).reverse();
  const resolved: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop()!;
    if (part === '..') {
      resolved.pop();
      continue;
    }
    const candidate = join(rootfs, ...resolved, part);
    const target = linkTarget(candidate);
    if (target === undefined) return undefined;
    if (target === false) {
      resolved.push(part);
      continue;
    }
    if (++links > MAX_LINKS) throw invalid(`too many levels of symbolic links in ${path}`);
    if (target.startsWith(sep)) resolved.length = 0;
    pending.push(...parts(target).reverse());
  }
  return join(rootfs, ...resolved);
}

/** A link's target, false for anything else that exists, undefined for what does not. */
function linkTarget(path: string): string | false | undefined {
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    return stats?.isSymbolicLink() ? readlinkSync(path) : stats && false;
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

const parts = (path: string): string[] => path.split(sep).filter((part) => part !== '' && part !== '.');
