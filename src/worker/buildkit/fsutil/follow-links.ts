import { readdirSync, readlinkSync } from 'node:fs';
import { join, posix } from 'node:path';
import { cleanPath } from '#worker/build/context/clean-path.ts';
import { hasWildcards, pathMatcher } from '#worker/build/context/path-match.ts';

/**
 * The include patterns that bring paths of a tree along with all that their symbolic links lead to, as
 * tonistiigi/fsutil's `FollowLinks` does for `followpaths`; sorted. undefined: the whole tree.
 */
export function followLinks(root: string, paths: readonly string[]): string[] | undefined {
  const resolved = new Set<string>();
  const pending = [...paths].reverse();
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    pending.push(...followPath(root, path, resolved).reverse());
  }
  return withoutCovered([...resolved].sort((a, b) => (a < b ? -1 : 1)));
}

/** Follows a path to its first link; answers what the link makes of the rest. */
function followPath(root: string, path: string, resolved: Set<string>): string[] {
  const names = cleanPath(posix.join('/', path)).slice(1).split('/');
  let current = '.';
  for (const [at, name] of names.entries()) {
    current = cleanPath(posix.join(current, name));
    const targets = linksAt(root, current);
    const isLast = at === names.length - 1;
    if (targets.length === 0 && !isLast) continue;
    if (resolved.has(current)) return [];
    resolved.add(current);
    const rest = names.slice(at + 1).join('/');
    return targets.map((target) => posix.join(target, rest));
  }
  return [];
}

/** Where a link leads, or those links that a pattern in the last name matches. */
function linksAt(root: string, path: string): string[] {
  const base = posix.basename(path);
  if (!hasWildcards(base)) return targetOf(root, path);
  const directory = posix.dirname(path);
  return namesIn(join(root, directory))
    .filter(pathMatcher(base))
    .flatMap((name) => targetOf(root, posix.join(directory, name)));
}

/** From the root of the tree, and never out of it. */
function targetOf(root: string, path: string): string[] {
  if (path === '.') return [];
  try {
    return [posix.resolve('/', posix.dirname(path), readlinkSync(join(root, path)))];
  } catch {
    return [];
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** `sorted` without what is below another of them. */
function withoutCovered(sorted: readonly string[]): string[] | undefined {
  const kept: string[] = [];
  for (const path of sorted) {
    if (path === '.') return undefined;
    const last = kept.at(-1);
    if (last === undefined || !path.startsWith(`${last}/`)) kept.push(path);
  }
  return kept;
}
