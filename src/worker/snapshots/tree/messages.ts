import type { ErrorKind } from '#errors/errors.ts';
import type { Change } from '../diff.ts';

/** What the tree threads do: everything that takes many synchronous file system calls. All paths absolute. */
export type TreeTask =
  | { readonly op: 'unpack'; readonly root: string; readonly limits: UnpackLimits }
  /**
   * Makes a directory equal to an archive that is no layer: its files are root's, and no name means a deletion. Where
   * `index` (a file) says what is there, only what differs is written. Fails: the index has to be removed.
   */
  | { readonly op: 'receive'; readonly root: string; readonly index: string; readonly limits: UnpackLimits }
  /** `mtime`: of every entry, in seconds; undefined: each file's own. */
  | { readonly op: 'pack'; readonly root: string; readonly mtime?: number }
  /** With `lowers` (top first), its changes are settled first. */
  | { readonly op: 'digest'; readonly root: string; readonly lowers?: readonly string[] }
  | { readonly op: 'changes'; readonly root: string; readonly lowers: readonly string[] }
  | { readonly op: 'usage'; readonly root: string }
  | { readonly op: 'remove'; readonly path: string };

export interface UnpackLimits {
  /** Bytes of the uncompressed tar: where a decompression bomb ends. */
  readonly maxBytes: number;
  readonly maxEntries: number;
}

export interface TreeResults {
  unpack: {
    /** Digest of the uncompressed tar. */
    diffId: string;
    /** Of file content. */
    bytes: number;
    /** Of the uncompressed tar. */
    tarBytes: number;
    /** Directories that the tar has no entry for, relative to the root. */
    impliedDirectories: string[];
  };
  receive: {
    /** Of all that is in the directory, but times; undefined: it cannot be told, and the index is gone. */
    content: string | undefined;
    entries: number;
    bytes: number;
  };
  pack: { bytes: number };
  digest: { diffId: string; bytes: number; tarBytes: number };
  changes: Change[];
  usage: { bytes: number; inodes: number };
  remove: undefined;
}

/** From the pool to a thread. Input chunks belong to the thread from then on. */
export type ToThread =
  | { readonly id: number; readonly task: TreeTask }
  | { readonly id: number; readonly chunk: Uint8Array<ArrayBuffer> }
  | { readonly id: number; readonly end: true }
  | { readonly id: number; readonly abort: true }
  /** The reader of a job's output has taken a chunk; `memory`: it is done with it. */
  | { readonly id: number; readonly taken: number; readonly memory?: ArrayBuffer };

export type FromThread =
  | { readonly id: number; readonly chunk: Uint8Array<ArrayBuffer> }
  /** Bytes of input that were worked off. */
  | { readonly id: number; readonly taken: number }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: ThreadError };

export interface ThreadError {
  readonly kind: ErrorKind | undefined;
  readonly message: string;
  readonly code: string | undefined;
  readonly stack: string | undefined;
}

/** Bytes on their way in one direction of one job, at most. */
export const WINDOW_BYTES = 4 * 1024 * 1024;
