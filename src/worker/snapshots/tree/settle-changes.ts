import { lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { systemPath } from '#tar/byte-text.ts';
import { removeXattr, setPathTimes } from '../libc.ts';
import { type ListedFile, listDirectory } from './directory-listing.ts';
import { isOpaque, lookBelow, namesBelow } from './layers-below.ts';
import { makeWhiteout, OPAQUE_XATTR } from './overlay-marks.ts';
import { isWhiteout } from './rooted-directories.ts';
import { type FoundFile, sameFile, sameMetadata } from './same-file.ts';

/**
 * Makes an upper directory say what it changes in words that mean the same on any other layers, as BuildKit's layers
 * do: an opaque directory, which overlayfs makes of every new one, becomes deletions of what the layers below have
 * there; what is as it is below (a file that was changed and changed back, a directory that something was in for a
 * while) is taken out. Directories that are not below at all are not looked into. `lowers`: top first. The upper
 * directory must not be mounted. Synchronous.
 */
export function settleChanges(upper: string, lowers: readonly string[]): void {
  if (lowers.length > 0) settle(upper, lowers, false);
}

/** `hides`: nothing of what is below is seen through it. */
function settle(upper: string, lowers: readonly string[], hides: boolean): void {
  const { mtimeMs } = lstatSync(systemPath(upper));
  const files = [...listDirectory(upper)];
  const names = namesBelow(lowers);
  let changed = false;
  if (hides) {
    const above = new Set(files.map(({ name }) => name));
    for (const name of names) {
      if (above.has(name) || !lookBelow(lowers, name).stats) continue;
      makeWhiteout(upper, name);
      changed = true;
    }
  }
  for (const file of files) {
    changed = settleFile(file, names.has(file.name) ? lowers : [], hides) || changed;
  }
  // What was done here is no change of the directory.
  if (changed) setModified(upper, mtimeMs);
}

/** Answers whether the file was taken out. */
function settleFile(file: ListedFile, lowers: readonly string[], hides: boolean): boolean {
  const { path, stats } = file;
  const below = lookBelow(lowers, file.name);
  if (isWhiteout(stats)) {
    if (below.stats) return false;
    unlinkSync(systemPath(path));
    return true;
  }
  const before = below.stats && { path: below.path!, stats: below.stats };
  if (!stats.isDirectory()) {
    // One of several names of a file stays: without it the others were separate files.
    if (!before || stats.nlink > 1 || !sameFile(before, file)) return false;
    unlinkSync(systemPath(path));
    return true;
  }
  const opaque = isOpaque(path);
  if (opaque) removeXattr(path, OPAQUE_XATTR);
  if (!before?.stats.isDirectory()) return false;
  settle(path, below.directories, hides || opaque);
  if (!sameDirectory(before, file) || readdirSync(systemPath(path)).length > 0) return false;
  rmdirSync(systemPath(path));
  return true;
}

/** Whether it has no time but what it had, or what changing something in it gives: one that was set is a change. */
function sameDirectory(before: FoundFile, { path }: FoundFile): boolean {
  // Once more: what it had when it was listed may have been changed with what is in it.
  const stats = lstatSync(systemPath(path));
  const { mtimeMs, birthtimeMs } = stats;
  if (mtimeMs !== before.stats.mtimeMs && mtimeMs < birthtimeMs) return false;
  return sameMetadata(before, { path, stats });
}

function setModified(path: string, mtimeMs: number): void {
  const seconds = Math.floor(mtimeMs / 1000);
  setPathTimes(path, seconds, Math.round((mtimeMs - seconds * 1000) * 1e6) % 1e9);
}
