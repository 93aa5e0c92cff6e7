import { chmodSync, chownSync, lchownSync, mkdirSync, type Stats } from 'node:fs';
import { systemCode } from '#errors/errors.ts';
import { systemPath } from '#tar/byte-text.ts';
import { getXattr, listXattrs, setPathTimes, setXattr } from '#worker/snapshots/libc.ts';
import { isOverlayXattr } from '#worker/snapshots/tree/overlay-marks.ts';
import { statOf } from './root-path.ts';
import type { Owner } from './rooted-directory.ts';

/** A moment as the kernel keeps it. */
export interface FileTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** What new files are given in place of what they would have had. */
export interface Metadata {
  readonly owner?: Owner;
  readonly time?: FileTime;
}

export function timeOf(nanoseconds: bigint): FileTime {
  const rest = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { seconds: Number((nanoseconds - rest) / 1_000_000_000n), nanoseconds: Number(rest) };
}

export function modifiedAt({ mtimeMs }: Pick<Stats, 'mtimeMs'>): FileTime {
  const seconds = Math.floor(mtimeMs / 1000);
  return { seconds, nanoseconds: Math.max(0, Math.round((mtimeMs - seconds * 1000) * 1e6)) % 1e9 };
}

export function setTime(path: string, { seconds, nanoseconds }: FileTime): void {
  setPathTimes(path, seconds, nanoseconds);
}

/** Owner and time of what was just made by root, now. */
export function describeNew(path: string, { owner, time }: Metadata): void {
  if (owner && (owner.uid !== 0 || owner.gid !== 0)) lchownSync(systemPath(path), owner.uid, owner.gid);
  if (time) setTime(path, time);
}

/** Makes a directory and those above it that are missing; answers the ones it made, outermost first. */
export function makeDirectories(path: string, mode: number, metadata: Metadata): string[] {
  const missing: string[] = [];
  for (let at = path; !statOf(at)?.isDirectory(); at = at.slice(0, at.lastIndexOf('/'))) missing.push(at);
  missing.reverse();
  for (const directory of missing) {
    mkdirSync(systemPath(directory));
    chmodSync(systemPath(directory), mode);
    describeNew(directory, metadata);
  }
  return missing;
}

/** What cannot be set here (another kernel's namespaces, a file system without) is left out, as BuildKit does. */
export function copyXattrs(source: string, target: string): void {
  for (const name of listXattrs(source)) {
    if (isOverlayXattr(name)) continue;
    const value = getXattr(source, name);
    try {
      if (value) setXattr(target, name, value);
    } catch (error) {
      if (!['EOPNOTSUPP', 'EPERM', 'EINVAL'].includes(systemCode(error) ?? '')) throw error;
    }
  }
}

/** In this order: chown clears setuid and capabilities. */
export function setOwnerAndMode(path: string, owner: Owner, mode: number): void {
  chownSync(systemPath(path), owner.uid, owner.gid);
  chmodSync(systemPath(path), mode);
}
