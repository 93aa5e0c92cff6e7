import { posix } from 'node:path';
import { cleanPath } from './clean-path.ts';
import { hasWildcards, pathMatcher } from './path-match.ts';

/** What following links has to know of a tree. Paths are relative, `.` is the root. */
export interface LinkTree {
  /** Where a symbolic link leads; undefined for anything else, and for nothing. */
  readLink(path: string): string | undefined;
  /** What is in a directory; none for anything else. */
  names(path: string): readonly string[];
}

/**
 * The include patterns that bring paths along with all that their symbolic links lead to, as tonistiigi/fsutil's
 * `FollowLinks` does for a session's `followpaths`; sorted. undefined: the whole tree.
 */
export function followLinks(tree: LinkTree, paths: readonly string[]): string[] | undefined {
  const resolved = new Set<string>();
  const pending = [...paths].reverse();
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    pending.push(...followPath(tree, path, resolved).reverse());
  }
  const sorted = [...resolved].sort((a, b) => (a < b ? -1 : 1));
  return withoutCovered(sorted);
}

/** Follows a path to its first link; answers what the link makes of the rest. */
function followPath(tree: LinkTree, path: string, resolved: Set<string>): string[] {
  const segments = cleanPath(posix.join('.', path)).split('/');
  let current = '.';
  for (const [at, segment] of segments.entries()) {
    current = cleanPath(posix.join(current, segment));
    const targets = linksAt(tree, current);
    const isLast = at === segments.length - 1;
    if (targets.length === 0 && !isLast) continue;
    if (resolved.has(current)) return [];
    resolved.add(current);
    const rest = segments.slice(at + 1).join('/');
    return targets.map((target) => posix.join(target, rest));
  }
  return [];
}

/** Where a link leads, or those links that a pattern in the last segment matches. */
function linksAt(tree: LinkTree, path: string): string[] {
  const base = posix.basename(path);
  if (!hasWildcards(base)) return targetOf(tree, path);
  const directory = posix.dirname(path);
  const matches = pathMatcher(base);
  return tree
    .names(directory)
    .filter(matches)
    .flatMap((name) => targetOf(tree, posix.join(directory, name)));
}

/** From the root of the tree, and never out of it. */
function targetOf(tree: LinkTree, path: string): string[] {
  const link = path === '.' ? undefined : tree.readLink(path);
  if (link === undefined) return [];
  return [posix.resolve('/', posix.dirname(path), link)];
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
