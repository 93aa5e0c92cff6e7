import type { Stats } from 'node:fs';
import type { Change } from '../diff.ts';
import { type ListedFile, listDirectory } from './directory-listing.ts';
import { type Below, isOpaque, lookBelow, namesBelow } from './layers-below.ts';
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
