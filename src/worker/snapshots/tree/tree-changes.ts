import { lstatSync, type Stats } from 'node:fs';
import { systemCode } from '#errors/errors.ts';
import { systemPath } from '#tar/byte-text.ts';
import type { Change } from '../diff.ts';
import { getXattr } from '../libc.ts';
import { type ListedFile, listDirectory } from './directory-listing.ts';
import { OPAQUE_XATTR } from './overlay-marks.ts';
import { isWhiteout } from './rooted-directories.ts';

/** Compares an upper directory with the ones below it (top first). Sorted by path. */
export function treeChanges(root: string, lowers: readonly string[]): Change[] {
  const changes: Change[] = [];
  compare(root, '', lowers, changes);
  return changes;
}

/** Answers whether something below `path` changed. */
function compare(upper: string, path: string, lowers: readonly string[], changes: Change[]): boolean {
  const before = changes.length;
  const names = new Map<string, ListedFile>();
  for (const file of listDirectory(upper)) names.set(file.name, file);
  const replaced = isOpaque(upper) ? namesBelow(lowers) : new Set<string>();
  for (const name of [...new Set([...names.keys(), ...replaced])].sort()) {
    const file = names.get(name);
    const below = lookBelow(lowers, name);
    const absolute = `${path}/${name}`;
    if (!file || isWhiteout(file.stats)) {
      if (below.stats) changes.push({ path: absolute, kind: 'deleted' });
    } else {
      compareFile(file, absolute, below, changes);
    }
  }
  return changes.length > before;
}

function compareFile(file: ListedFile, path: string, below: Below, changes: Change[]): void {
  const at = changes.length;
  if (!below.stats) changes.push({ path, kind: 'added' });
  else if (!(file.stats.isDirectory() && sameDirectory(file.stats, below.stats))) {
    changes.push({ path, kind: 'modified' });
  }
  if (!file.stats.isDirectory()) return;
  const changedBelow = compare(file.path, path, below.directories, changes);
  // A directory that is only here because something in it changed counts as modified, ahead of that.
  if (changedBelow && changes[at]?.path !== path) changes.splice(at, 0, { path, kind: 'modified' });
}

function sameDirectory(a: Stats, b: Stats): boolean {
  return (
    b.isDirectory() && a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && a.mtimeMs === b.mtimeMs
  );
}

interface Below {
  /** What a name is in the layers below, all together; undefined when it is not there. */
  readonly stats: Stats | undefined;
  /** The directories of that name that are merged, top first. */
  readonly directories: string[];
}

function lookBelow(lowers: readonly string[], name: string): Below {
  let found: Stats | undefined;
  const directories: string[] = [];
  for (const lower of lowers) {
    const path = `${lower}/${name}`;
    const stats = statOf(path);
    if (!stats) continue;
    if (isWhiteout(stats)) break;
    found ??= stats;
    if (!stats.isDirectory()) break;
    directories.push(path);
    if (isOpaque(path)) break;
  }
  return { stats: found, directories };
}

function namesBelow(lowers: readonly string[]): Set<string> {
  const names = new Set<string>();
  for (const lower of lowers) for (const file of listDirectory(lower)) names.add(file.name);
  return names;
}

function isOpaque(directory: string): boolean {
  return getXattr(directory, OPAQUE_XATTR)?.toString() === 'y';
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(systemPath(path), { throwIfNoEntry: false });
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
