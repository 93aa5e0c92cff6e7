import type { ErrorKind } from '#errors/errors.ts';
import type { MemoryFile } from './memory-tree.ts';
import type { Owner } from './rooted-directory.ts';

/** Code of the error for several sources whose destination is not written as a directory. */
export const MANY_SOURCES = 'MANY_SOURCES';

/** Where COPY's sources are. `context` is the archive that the thread has open. */
export type SourceTree =
  | { readonly kind: 'context' }
  | { readonly kind: 'directory'; readonly root: string }
  | { readonly kind: 'files'; readonly files: readonly MemoryFile[] };

export interface CopyPart {
  readonly tree: SourceTree;
  readonly sources: readonly string[];
}

/** What COPY's sources are, before anything is known of the destination. */
export interface Selection {
  /** `COPY` or `ADD`, for error messages. */
  readonly instruction: string;
  readonly parts: readonly CopyPart[];
  readonly exclude: readonly string[];
  /** The destination is written as a directory. */
  readonly asDirectory: boolean;
}

export interface CopyRequest extends Selection {
  /** Mounted root file system. */
  readonly root: string;
  /** Absolute in it. */
  readonly destination: string;
  /** undefined: the sources' own. */
  readonly owner: Owner | undefined;
  /** Of what is unpacked; undefined: the archive's own. */
  readonly archiveOwner: Owner | undefined;
  readonly mode: number | undefined;
  /** Unpack archives, as ADD does with local ones. */
  readonly unpack: boolean;
}

/** What a build's file thread does. */
export interface FileOperations {
  /** Makes a tar file the context. */
  open(request: { file: string; maxEntries: number }): void;
  /** Takes away from the context what a `.dockerignore` says. Throws `invalid`. */
  exclude(request: { rules: string }): void;
  /** A small file of the context; undefined when there is none. Throws `too-large`. */
  readText(request: { path: string; maxBytes: number }): string | undefined;
  /** A digest over the selected files; `count` of them. Throws `not-found`, `invalid`. */
  checksum(request: Selection & { owners: boolean }): { digest: string; count: number };
  copy(request: CopyRequest): void;
  /** Makes a directory and its parents in a root file system. */
  makeDirectory(request: { root: string; path: string; owner: Owner }): void;
  /** Closes what is open, for the next build. */
  reset(request: Record<string, never>): void;
}

export type FileOperation = keyof FileOperations;
export type FileRequest<O extends FileOperation> = Parameters<FileOperations[O]>[0];
export type FileResult<O extends FileOperation> = ReturnType<FileOperations[O]>;

export interface ToFileThread {
  readonly id: number;
  readonly operation: FileOperation;
  readonly request: unknown;
}

export interface FromFileThread {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: FileThreadError;
}

export interface FileThreadError {
  /** undefined: a bug, told by its stack. */
  readonly kind: ErrorKind | undefined;
  readonly code: string | undefined;
  readonly message: string;
  readonly stack: string | undefined;
}
