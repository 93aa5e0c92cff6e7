export type TarEntryType = 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

/** One member of a tar archive, with PAX and GNU extensions already folded in. */
export interface TarEntry {
  /** As the archive spells it: may be absolute, have `..`, or end in a slash. See `safe-path.ts`. */
  readonly path: string;
  readonly type: TarEntryType;
  /** Permission bits with setuid, setgid and sticky: `0o7777`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content that follow; 0 for anything but files. */
  readonly size: number;
  /** Whole seconds since the epoch, and the nanoseconds on top. */
  readonly mtime: number;
  readonly mtimeNanoseconds?: number;
  /** Target of a hard link (a path in the archive) or of a symbolic link (any text). */
  readonly linkPath?: string;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
  readonly userName?: string;
  readonly groupName?: string;
  /** Extended attributes by full name (`security.capability`). */
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
}

export const BLOCK_SIZE = 512;

/** Bytes that fill content of `size` bytes up to the next block. */
export function paddingOf(size: number): number {
  return (BLOCK_SIZE - (size % BLOCK_SIZE)) % BLOCK_SIZE;
}
