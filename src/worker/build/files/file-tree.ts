import { walkRooted } from '#tar/rooted-path.ts';

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

/**
 * The path that a path stands for when every symbolic link on the way is followed within the tree, as a process
 * chrooted into it would; `..` stops at the root. Undefined when something is missing.
 */
export function resolvePath(
  tree: Pick<FileTree, 'node'>,
  path: string,
  options: { followLast?: boolean } = {},
): string | undefined {
  return walkRooted(path, (candidate, isLast) => {
    const node = tree.node(candidate);
    if (node?.type === 'symlink' && !(isLast && options.followLast === false))
      return { target: node.target! };
    return node && (isLast || node.type === 'directory') ? 'here' : undefined;
  });
}

export function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}
