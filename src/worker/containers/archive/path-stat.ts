import type { Stats } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { posix } from 'node:path';
import { formatTime } from '../timestamp.ts';
import type { ContainerTree, Location } from './container-tree.ts';

/** What the docker CLI wants to know of a path before it copies. */
export interface PathStat {
  readonly name: string;
  readonly size: number;
  /** Bits of Go's os.FileMode. */
  readonly mode: number;
  readonly mtime: string;
  /** Absolute in the container, all links resolved; empty for what is no link. */
  readonly linkTarget: string;
}

export async function pathStatOf(tree: ContainerTree, location: Location, asked: string): Promise<PathStat> {
  const stats = location.stats!;
  return {
    name: posix.basename(posix.normalize(`/${asked}`)) || '/',
    size: stats.size,
    mode: goFileMode(stats),
    mtime: formatTime(stats.mtime),
    linkTarget: stats.isSymbolicLink() ? await targetOf(tree, location) : '',
  };
}

async function targetOf(tree: ContainerTree, location: Location): Promise<string> {
  const link = await readlink(location.entry);
  const path = posix.resolve(posix.dirname(location.path), link);
  try {
    await using target = await tree.locate(path, { follow: true });
    return target.path;
  } catch {
    return path;
  }
}

/** Unix mode bits to Go's: type bits at the top, setuid, setgid and sticky apart. */
export function goFileMode(stats: Pick<Stats, 'mode'>): number {
  const type = stats.mode & 0o170000;
  let mode = stats.mode & 0o777;
  if (type === 0o040000) mode += 2 ** 31;
  if (type === 0o120000) mode += 2 ** 27;
  if (type === 0o060000) mode += 2 ** 26;
  if (type === 0o020000) mode += 2 ** 26 + 2 ** 21;
  if (type === 0o010000) mode += 2 ** 25;
  if (type === 0o140000) mode += 2 ** 24;
  if (stats.mode & 0o4000) mode += 2 ** 23;
  if (stats.mode & 0o2000) mode += 2 ** 22;
  if (stats.mode & 0o1000) mode += 2 ** 20;
  return mode;
}
