import { listDirectory } from '#worker/snapshots/tree/directory-listing.ts';
import { hasWildcards, pathMatcher } from '../context/path-match.ts';
import { absolutePath, rootPath, statOf } from './root-path.ts';

/** As BuildKit keeps a written path: absolute and clean, but a slash or `/.` at its end means something. */
export function cleanSource(path: string): string {
  const clean = absolutePath(path);
  if (path.endsWith('/.')) return clean === '/' ? '/.' : `${clean}/.`;
  return path.endsWith('/') && clean !== '/' ? `${clean}/` : clean;
}

/**
 * The paths that a pattern stands for: `*` and `?` match within a component, links before the first wildcard are
 * followed inside the root, and nothing is looked for in a directory that matches. Throws `invalid` for a pattern
 * that is none.
 */
export function findSources(root: string, pattern: string, options: { follow: boolean }): string[] {
  const parts = absolutePath(pattern).split('/').slice(1);
  const first = parts.findIndex(hasWildcards);
  if (first < 0) return [absolutePath(pattern)];
  const base = rootPath(root, parts.slice(0, first).join('/'), { followLast: options.follow });
  const matchers = parts.slice(first).map(pathMatcher);
  const found: string[] = [];
  const visit = (directory: string, depth: number): void => {
    for (const file of listDirectory(directory)) {
      if (!matchers[depth]!(file.name)) continue;
      if (depth === matchers.length - 1) found.push(file.path.slice(root.length));
      else if (file.stats.isDirectory()) visit(file.path, depth + 1);
    }
  };
  if (statOf(base)?.isDirectory()) visit(base, 0);
  return found;
}
