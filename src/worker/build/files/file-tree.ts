import { invalid } from '#errors/errors.ts';

export type FileType = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo';

/** One file's metadata, of a build context or of a root file system. */
export interface FileNode {
  readonly type: FileType;
  /** `0o7777`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a regular file's content; 0 otherwise. */
  readonly size: number;
  readonly mtime: number;
  readonly mtimeNanoseconds: number;
  /** Of a symbolic link. */
  readonly target?: string;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
  /** Names of one file (hard links) have the same identity; undefined when it has one name. */
  readonly identity?: string;
}

/**
 * A tree of files that COPY reads from. Paths are relative to its root, clean (`a/b`; '' is the root), and have
 * no symbolic link in front of their last component: see `resolvePath`. Synchronous: it lives on a thread.
 */
export interface FileTree {
  /** Does not follow a symbolic link; undefined when there is nothing. */
  node(path: string): FileNode | undefined;
  /** What is in a directory, sorted. */
  names(path: string): readonly string[];
  xattrs(path: string): ReadonlyMap<string, Uint8Array>;
  /** A file's content from `offset` into `buffer`; answers how many bytes, 0 at the end. */
  read(path: string, buffer: Uint8Array, offset: number): number;
}

/** As many as the kernel follows (path_resolution(7)). */
const MAX_SYMLINKS = 40;

/**
 * The path that a path stands for when every symbolic link on the way is followed within the tree, as a process
 * chrooted into it would; `..` stops at the root. Undefined when something is missing.
 */
export function resolvePath(
  tree: Pick<FileTree, 'node'>,
  path: string,
  options: { followLast?: boolean } = {},
): string | undefined {
  const pending = partsOf(path).reverse();
  const resolved: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop()!;
    if (part === '..') {
      resolved.pop();
      continue;
    }
    const candidate = [...resolved, part].join('/');
    const node = tree.node(candidate);
    if (!node) return undefined;
    if (node.type !== 'symlink' || (pending.length === 0 && options.followLast === false)) {
      if (node.type !== 'directory' && pending.length > 0) return undefined;
      resolved.push(part);
      continue;
    }
    if (++links > MAX_SYMLINKS) throw invalid(`too many levels of symbolic links: ${path}`);
    if (node.target!.startsWith('/')) resolved.length = 0;
    pending.push(...partsOf(node.target!).reverse());
  }
  return resolved.join('/');
}

/** `/a/../../b/` as `b`: a path that cannot leave the root it is for. */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of partsOf(path)) {
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return parts.join('/');
}

export function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}
