/**
 * What one vertex of a build does, as plain data: the vocabulary of BuildKit's `pb.Op` (solver/pb/ops.proto).
 * Numbers of inputs are positions in `Vertex.inputs`, numbers of outputs those of `Edge.output`.
 */
export type Op = SourceOp | ExecOp | FileOp | MergeOp | DiffOp | PassthroughOp;

/** Brings files from elsewhere. No inputs, one output. */
export interface SourceOp {
  readonly kind: 'source';
  /** `docker-image://…`, `local://name`, `git://…`, `https://…`, `oci-layout://…`. */
  readonly identifier: string;
  /** As pb has them (`local.session`, `git.keepgitdir`, `http.checksum`, `image.resolvemode` …). */
  readonly attrs: Readonly<Record<string, string>>;
}

/** Runs a command. The mount at `/` is its root file system; outputs are those of the mounts that have one. */
export interface ExecOp {
  readonly kind: 'exec';
  readonly args: readonly string[];
  /** `NAME=value`, in order; what is the same for all (PATH, HOME) is added when it runs. */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: string;
  readonly hostname?: string;
  readonly extraHosts?: readonly { readonly host: string; readonly ip: string }[];
  /** `NAME=value`; the command gets it, no cache key counts it. */
  readonly proxyEnv?: readonly string[];
  readonly ulimits?: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent?: string;
  /** Take away directories that were made to mount on. Dockerfiles ask for it. */
  readonly removeMountStubsRecursive?: boolean;
  /** Exit codes that are success; 0 alone when there are none. */
  readonly validExitCodes?: readonly number[];
  /** `default`, `none`, `host`; or, for the classic builder, a network's name. */
  readonly network: string;
  readonly security: 'sandbox' | 'insecure';
  readonly secretEnv?: readonly SecretEnv[];
  /** Directories that are there for it, as VOLUME declared them for the classic builder. */
  readonly volumes?: readonly string[];
  readonly mounts: readonly ExecMount[];
}

export interface SecretEnv {
  readonly id: string;
  readonly name: string;
  readonly optional?: boolean;
}

export type ExecMount = {
  /** Absolute in the container. */
  readonly dest: string;
  /** undefined: starts empty. */
  readonly input?: number;
  /** Directory of the input that is mounted; its root when there is none. */
  readonly selector?: string;
  /** undefined: nobody asks what came of it. */
  readonly output?: number;
  readonly readonly?: boolean;
} & (
  | {
      readonly type: 'bind';
      /** Whether cache keys count the input's contents (`on`), or what made it (`off`); `auto`: contents if read-only. */
      readonly contentCache?: 'auto' | 'on' | 'off';
    }
  | { readonly type: 'cache'; readonly id: string; readonly sharing: 'shared' | 'private' | 'locked' }
  /** Bytes; undefined: as much as memory allows. */
  | { readonly type: 'tmpfs'; readonly size?: number }
  | ({ readonly type: 'secret'; readonly id: string; readonly optional?: boolean } & FileOwner)
  | ({ readonly type: 'ssh'; readonly id: string; readonly optional?: boolean } & FileOwner)
);

export interface FileOwner {
  readonly uid?: number;
  readonly gid?: number;
  readonly mode?: number;
}

/** Changes files without running anything: actions one after the other, later ones on earlier ones' outcomes. */
export interface FileOp {
  readonly kind: 'file';
  readonly actions: readonly FileAction[];
}

/**
 * `input` and `secondaryInput` count the vertex's inputs first and then the actions, in order. `output`: this
 * action's outcome is the vertex's output of this number.
 */
export type FileAction = {
  /** What is changed; undefined: an empty file system. */
  readonly input?: number;
  /** What is copied from. */
  readonly secondaryInput?: number;
  readonly output?: number;
} & (CopyAction | MakeFileAction | MakeDirectoryAction | RemoveAction | SymlinkAction);

export interface CopyAction {
  readonly type: 'copy';
  readonly src: string;
  readonly dest: string;
  readonly owner?: ChownOptions;
  /** Octal digits or symbolic (`u=rw,go-w`); undefined: the source's. */
  readonly mode?: string;
  readonly followSymlink: boolean;
  readonly dirCopyContents: boolean;
  /** Unpack archives, as ADD does. */
  readonly unpack: boolean;
  readonly createDestPath: boolean;
  readonly allowWildcard: boolean;
  readonly allowEmptyWildcard: boolean;
  /** Nanoseconds since 1970; undefined: the source's. */
  readonly timestamp?: bigint;
  readonly includePatterns?: readonly string[];
  readonly excludePatterns?: readonly string[];
  /** Replace what is at the destination, whatever it is (`--link`). */
  readonly alwaysReplaceExistingDestPaths?: boolean;
  /** Paths that have to be there (`COPY --parents`). */
  readonly requiredPaths?: readonly string[];
}

export interface MakeFileAction {
  readonly type: 'mkfile';
  readonly path: string;
  readonly mode: number;
  readonly data: Uint8Array;
  readonly owner?: ChownOptions;
  readonly timestamp?: bigint;
}

export interface MakeDirectoryAction {
  readonly type: 'mkdir';
  readonly path: string;
  readonly mode: number;
  readonly makeParents: boolean;
  readonly owner?: ChownOptions;
  readonly timestamp?: bigint;
}

export interface RemoveAction {
  readonly type: 'rm';
  readonly path: string;
  readonly allowNotFound: boolean;
  readonly allowWildcard: boolean;
}

export interface SymlinkAction {
  readonly type: 'symlink';
  readonly oldpath: string;
  readonly newpath: string;
  readonly owner?: ChownOptions;
  readonly timestamp?: bigint;
}

/** Names are looked up in the file system of input `byName.input` (`/etc/passwd`, `/etc/group`). */
export interface ChownOptions {
  readonly user?: UserOption;
  readonly group?: UserOption;
}

export type UserOption =
  | { readonly byId: number }
  | { readonly byName: { readonly name: string; readonly input?: number } };

/** Inputs stacked on each other, later ones on top. */
export interface MergeOp {
  readonly kind: 'merge';
}

/** What input `upper` changed compared with input `lower`; undefined: with, or of, nothing. */
export interface DiffOp {
  readonly kind: 'diff';
  readonly lower?: number;
  readonly upper?: number;
}

/** Some of its inputs; the others have to be done, too. */
export interface PassthroughOp {
  readonly kind: 'passthrough';
  readonly id: string;
  /** By output, the number of the input. */
  readonly outputs: readonly number[];
}
