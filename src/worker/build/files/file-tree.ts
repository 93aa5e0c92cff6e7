export type FileType = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo';

/** One file's metadata. */
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
 * A tree of files to be read. Paths are relative to its root, clean (`a/b`; '' is the root), and have no symbolic link
 * in front of their last component. Synchronous: it lives on a thread.
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

export function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}
