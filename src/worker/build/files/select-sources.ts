import { notFound } from '#errors/errors.ts';
import { withinRoot } from '#tar/rooted-path.ts';
import { hasWildcards, pathMatcher } from '../context/path-match.ts';
import { type FileNode, type FileTree, joinPath, resolvePath } from './file-tree.ts';

/** One source of a COPY, found. */
export interface SelectedSource {
  /** Real path in the tree. */
  readonly path: string;
  /** What it is called in the destination: the last component as written, not what a link leads to. */
  readonly name: string;
  readonly node: FileNode;
}

/**
 * Finds COPY's sources: `..` stops at the root, links are followed inside it, wildcards match as Go's
 * `filepath.Match` does. A pattern without a match selects nothing; a literal one throws `not-found`.
 */
export function selectSources(
  tree: FileTree,
  sources: readonly string[],
  options: { context: boolean },
): SelectedSource[] {
  return sources.flatMap((source) => {
    const path = withinRoot(source);
    const paths = hasWildcards(path) ? matching(tree, path) : [path];
    return paths.map((found) => select(tree, found, options));
  });
}

function select(tree: FileTree, path: string, { context }: { context: boolean }): SelectedSource {
  const real = resolvePath(tree, path);
  const node = real === undefined ? undefined : tree.node(real);
  if (real === undefined || !node) {
    const why = context ? 'file not found in build context or excluded by .dockerignore: ' : '';
    throw notFound(`${why}stat ${path}: file does not exist`);
  }
  return { path: real, name: path.slice(path.lastIndexOf('/') + 1), node };
}

function matching(tree: FileTree, pattern: string): string[] {
  let found = [''];
  for (const segment of pattern.split('/')) {
    const matches = pathMatcher(segment);
    const literal = !hasWildcards(segment);
    found = found.flatMap((directory) => {
      const real = resolvePath(tree, directory);
      if (real === undefined || tree.node(real)?.type !== 'directory') return [];
      const names = literal ? [segment.replace(/\\(.)/g, '$1')] : tree.names(real).filter(matches);
      return names.map((name) => joinPath(directory, name));
    });
  }
  // A dangling link that a pattern happens to match is no source.
  return found.filter((path) => resolvePath(tree, path) !== undefined);
}
