import { closeSync, constants, lstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { invalid, notFound, tooLarge } from '#errors/errors.ts';
import { decodeText, systemPath } from '#tar/byte-text.ts';
import { listDirectory } from '#worker/snapshots/tree/directory-listing.ts';
import { pathMatcher } from '../context/path-match.ts';
import { absolutePath, rootPath, statOf } from './root-path.ts';

const SECOND = 1_000_000_000n;

export interface FilePart {
  readonly root: string;
  readonly path: string;
  readonly offset: number;
  /** undefined: to its end. */
  readonly length: number | undefined;
  readonly maxBytes: number;
}

/** A file as lstat(2) has it. */
export interface PathStat {
  /** Relative to the directory that was listed; the last component of a path that was asked for. */
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly linkname: string;
  readonly rdev: number;
}

export function readPart({ root, path, offset, length, maxBytes }: FilePart): Uint8Array {
  const real = rootPath(root, path);
  const stats = statOf(real);
  if (!stats) throw notFound(`open ${path}: no such file or directory`);
  if (!stats.isFile()) throw invalid(`read ${path}: it is no regular file`);
  const wanted = Math.max(0, Math.min(length ?? Number.POSITIVE_INFINITY, stats.size - offset));
  if (wanted > maxBytes) throw tooLarge(`${path} is larger than ${maxBytes} bytes`);
  const bytes = Buffer.alloc(wanted);
  const fd = openSync(systemPath(real), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    let filled = 0;
    for (let read = -1; filled < wanted && read !== 0; filled += read) {
      read = readSync(fd, bytes, filled, wanted - filled, offset + filled);
    }
    return bytes.subarray(0, filled);
  } finally {
    closeSync(fd);
  }
}

export function readDirectory(request: {
  root: string;
  path: string;
  include: string | undefined;
}): PathStat[] {
  const { root, path, include } = request;
  const real = rootPath(root, path);
  const stats = statOf(real);
  if (!stats) throw notFound(`open ${path}: no such file or directory`);
  if (!stats.isDirectory()) throw invalid(`readdir ${path}: not a directory`);
  const matches = include ? pathMatcher(include) : () => true;
  return [...listDirectory(real)]
    .filter(({ name }) => matches(name))
    .map((file) => describe(file.name, file.path));
}

export function statPath(root: string, path: string): PathStat {
  const real = rootPath(root, path, { followLast: false });
  if (!statOf(real)) throw notFound(`lstat ${path}: no such file or directory`);
  return describe(absolutePath(path).split('/').at(-1) ?? '', real);
}

/** Its time to the nanosecond. */
function describe(path: string, real: string): PathStat {
  const stats = lstatSync(systemPath(real), { bigint: true });
  const linkname = stats.isSymbolicLink() ? decodeText(readlinkSync(systemPath(real), 'buffer')) : '';
  const time = stats.mtimeNs;
  const nanoseconds = ((time % SECOND) + SECOND) % SECOND;
  return {
    path,
    mode: Number(stats.mode),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: stats.isDirectory() ? 0 : Number(stats.size),
    seconds: Number((time - nanoseconds) / SECOND),
    nanoseconds: Number(nanoseconds),
    linkname,
    rdev: Number(stats.rdev),
  };
}
