import type { ErrorKind } from '#errors/errors.ts';
import type { FoundPackages } from '../attest/sbom/find-packages.ts';
import type { ContentSelector } from './content-digest.ts';
import type { ReadyAction, UnpackLimits } from './file-actions.ts';
import type { FileChanges } from './file-changes.ts';
import type { CopiedLayer } from './layer-copy.ts';
import type { FilePart, PathStat } from './read-tree.ts';
import type { WritingHelp } from './shared-writing.ts';
import type { KeptTree } from './tree-memory.ts';

/** What a file thread does. */
export interface FileOperations {
  /** Does things to a mounted root file system, one after the other. Throws `not-found`, `invalid`, `too-large`. */
  apply(request: { root: string; actions: readonly ReadyAction[]; limits: UnpackLimits }): void;
  /** Does a plain copy into what becomes a layer; see `copyIntoLayer`. Throws as `apply`. */
  copyAsLayer(request: {
    upper: string;
    lowers: readonly string[];
    action: Extract<ReadyAction, { type: 'copy' }>;
    help?: WritingHelp | undefined;
  }): CopiedLayer | undefined;
  /** Writes some of the files of another thread's copy, until that has ended. */
  writeShared(request: WritingHelp): void;
  /**
   * A digest over what the selectors select of a tree. `memory`: where what is known of the tree's files is kept until
   * the next time. `manifests`: a directory for what the digest was made of. `rootKnown`: the root's own mode and
   * owner are part of the tree. Throws `not-found`, `invalid`.
   */
  contentDigest(request: {
    root: string;
    rootKnown: boolean;
    selectors: readonly ContentSelector[];
    memory: KeptTree | undefined;
    manifests: string;
  }): string;
  /** How two manifests differ; undefined when one is not there any more. */
  fileChanges(request: { before: string; after: string }): FileChanges | undefined;
  /**
   * Takes away from a tree what patterns as of `.dockerignore` match. Answers what went, by path; a directory stands for
   * all that was in it. Throws `invalid`.
   */
  removeExcluded(request: { root: string; patterns: readonly string[] }): string[];
  /** Copies a tree as it is into an empty directory. */
  importTree(request: { source: string; target: string }): void;
  /** Writes what makes one tree the other into an empty directory, as overlayfs would keep it. */
  difference(request: { lower: string | undefined; upper: string | undefined; target: string }): void;
  /** Part of a regular file. Throws `not-found`, `invalid`, `too-large`. */
  readPart(request: FilePart): Uint8Array;
  /** What is in a directory, by name; those that match `include`. Throws `not-found`, `invalid`. */
  readDirectory(request: { root: string; path: string; include: string | undefined }): PathStat[];
  /** What package managers know of a root file system. */
  packages(request: { root: string }): FoundPackages;
  /** Does not follow a link at the end. Throws `not-found`. */
  stat(request: { root: string; path: string }): PathStat;
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
