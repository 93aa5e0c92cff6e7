import { closeSync, constants, openSync, readlinkSync, readSync, type Stats } from 'node:fs';
import { systemPath } from '#tar/byte-text.ts';
import { getXattr, listXattrs } from '../libc.ts';
import { isOverlayXattr } from './overlay-marks.ts';

const CHUNK_BYTES = 256 * 1024;

export interface FoundFile {
  readonly path: string;
  readonly stats: Stats;
}

/** Whether two files are the same in all that a layer keeps of them. */
export function sameFile(a: FoundFile, b: FoundFile): boolean {
  if (!sameMetadata(a, b) || a.stats.rdev !== b.stats.rdev || a.stats.mtimeMs !== b.stats.mtimeMs)
    return false;
  if (a.stats.isSymbolicLink()) return linkOf(a).equals(linkOf(b));
  return !a.stats.isFile() || (a.stats.size === b.stats.size && sameContent(a.path, b.path));
}

export function sameMetadata(a: FoundFile, b: FoundFile): boolean {
  const { mode, uid, gid } = a.stats;
  if (mode !== b.stats.mode || uid !== b.stats.uid || gid !== b.stats.gid) return false;
  return xattrsOf(a.path) === xattrsOf(b.path);
}

function linkOf({ path }: FoundFile): Buffer {
  return readlinkSync(systemPath(path), 'buffer');
}

function xattrsOf(path: string): string {
  const names = listXattrs(path).filter((name) => !isOverlayXattr(name));
  return JSON.stringify(names.sort().map((name) => [name, getXattr(path, name)?.toString('hex')]));
}

function sameContent(a: string, b: string): boolean {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
  const fds = [openSync(systemPath(a), flags), openSync(systemPath(b), flags)] as const;
  const [left, right] = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)];
  try {
    for (;;) {
      const bytes = readSync(fds[0], left, 0, CHUNK_BYTES, null);
      if (readSync(fds[1], right, 0, CHUNK_BYTES, null) !== bytes) return false;
      if (bytes === 0) return true;
      if (left.compare(right, 0, bytes, 0, bytes) !== 0) return false;
    }
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}
