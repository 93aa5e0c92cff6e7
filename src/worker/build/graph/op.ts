import type { Digest } from '#oci/digest.ts';
import type { SpecResources } from '#worker/runtime/spec/spec-request.ts';
import type { MemoryFile } from '../files/memory-tree.ts';

/**
 * What one vertex of a build does, as plain data: the vocabulary of BuildKit's `pb.Op` (source, exec, file), plus
 * `config` for instructions that change only the image's configuration.
 */
export type Op = SourceOp | ExecOp | FileOp | ConfigOp;

export interface SourceOp {
  readonly kind: 'source';
  readonly source:
    | { readonly type: 'scratch' }
    | { readonly type: 'image'; readonly id: Digest; readonly diffIds: readonly Digest[] }
    /** The client's build context. */
    | { readonly type: 'context' }
    /** One file from an HTTP server. */
    | { readonly type: 'http'; readonly url: string; readonly checksum?: string };
}

/** Runs a command on input 0's files. */
export interface ExecOp {
  readonly kind: 'exec';
  readonly args: readonly string[];
  /** Sorted; without what is the same for all steps (HOSTNAME, HOME). */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: string;
  /** `default`, `none`, `host`, or a network's name. */
  readonly network: string;
  /** A heredoc that is a script of its own: mounted beside the command. */
  readonly script?: { readonly name: string; readonly content: string };
  /** Directories that are there for it, as VOLUME declared them. */
  readonly volumes?: readonly string[];
}

/** How much a build's commands may use, and what they see beside their files: not part of what they are. */
export interface ExecLimits {
  readonly shmSize?: number;
  readonly resources?: SpecResources;
  readonly ulimits?: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent?: string;
}

/** Changes input 0's files without running anything; further inputs are what it copies from. */
export interface FileOp {
  readonly kind: 'file';
  readonly action: CopyAction | MakeDirectoryAction;
}

export interface CopyAction {
  readonly type: 'copy';
  /** `COPY` or `ADD`, for messages. */
  readonly instruction: string;
  readonly from: readonly CopySource[];
  /** Absolute. */
  readonly destination: string;
  /** The destination was written as a directory. */
  readonly asDirectory: boolean;
  /** `user[:group]` as written. */
  readonly chown?: string;
  readonly mode?: number;
  readonly exclude: readonly string[];
  /** Keep the sources' owners, as copies from other stages do. */
  readonly keepOwners: boolean;
  readonly unpack: boolean;
}

/** Paths in another input, or files that the Dockerfile holds itself. */
export type CopySource =
  | { readonly input: number; readonly paths: readonly string[] }
  | { readonly files: readonly MemoryFile[] };

export interface MakeDirectoryAction {
  readonly type: 'make-directory';
  readonly path: string;
  /** Owner, as of USER. */
  readonly user: string;
}

export interface ConfigOp {
  readonly kind: 'config';
  readonly createdBy: string;
}
