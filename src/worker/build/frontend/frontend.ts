import type { Descriptor } from '#oci/descriptor.ts';
import type { Digest } from '#oci/digest.ts';
import type { Platform } from '#oci/platform.ts';
import type { SourceOp } from '../llb/op.ts';
import type { Edge } from '../llb/vertex.ts';
import type { SourceMeta, WantedMeta } from '../policy/source-meta.ts';
import type { SourcePolicy } from '../policy/source-policy.ts';
import type { BuildSession } from '../session/build-session.ts';
import type { WarningEvent } from '../solve/progress.ts';
import type { Ref } from '../solve/ref.ts';

/** Makes a graph of what a user wrote. It runs nothing itself; what it has to know first it asks the bridge. */
export interface Frontend {
  /** Throws `DockerfileError` and the like for what the user has wrong, and what the bridge throws. */
  solve(request: FrontendRequest, bridge: Bridge): Promise<FrontendResult>;
}

export interface FrontendRequest {
  /** As of BuildKit's `FrontendAttrs`: `filename`, `target`, `build-arg:X`, `label:X`, `platform`, `context:name` … */
  readonly options: Readonly<Record<string, string>>;
  /** Graphs that named contexts may mean. */
  readonly inputs: Readonly<Record<string, Edge>>;
}

/** What a frontend, ours or a client's, may ask of the build that it runs in. */
export interface Bridge {
  readonly session: BuildSession;
  readonly signal: AbortSignal;

  /** What a reference stands for now, and its configuration. Throws `not-found`, `unauthorized`, `unavailable`. */
  resolveImage(reference: string, options: ResolveImageOptions): Promise<ResolvedImage>;

  /**
   * What a source stands for, as far as that can be known without its files; within a build it is the same source that it
   * will be when it is built on. Throws as `resolveImage`, `forbidden` where a policy denies it.
   */
  resolveSource(source: SourceOp, options: ResolveSourceOptions): Promise<SourceMeta>;

  /** The graph as the build's policies, and these, let it be built. Throws `forbidden`. */
  allowed(edge: Edge, policies: readonly SourcePolicy[]): Promise<Edge>;

  /** Solves an edge, as the build's policies let it be built. */
  solve(edge: Edge): Promise<Ref>;

  /** A file of a ref. Throws `not-found`, `invalid` (no regular file), `too-large` beyond 16 MiB. */
  readFile(ref: Ref, path: string, range?: { offset: number; length: number }): Promise<Uint8Array>;
  readDirectory(ref: Ref, path: string, include?: string): Promise<readonly FileStat[]>;
  /** Does not follow a symbolic link at the end of the path. */
  statFile(ref: Ref, path: string): Promise<FileStat>;

  /** `vertex`: the one that it is about; undefined: the build as a whole. */
  warn(warning: Omit<WarningEvent, 'vertex'> & { readonly vertex?: string }): void;
}

export interface ResolveImageOptions {
  readonly platform: Platform;
  /** `local` prefers what is here, `pull` asks the registry, `default` is the builder's choice. */
  readonly mode: 'default' | 'pull' | 'local';
  /** Shown while it takes time: `[internal] load metadata for docker.io/library/x:latest`. */
  readonly name: string;
  /** A content store of the client's (`oci-layout://`) to look in, in place of registries. */
  readonly store?: string;
  /** Beside those of the build. */
  readonly policies?: readonly SourcePolicy[];
}

export interface ResolveSourceOptions {
  readonly platform: Platform | undefined;
  /** Shown while it takes time. */
  readonly name?: string | undefined;
  readonly wanted: WantedMeta;
  /** Beside those of the build. */
  readonly policies?: readonly SourcePolicy[];
}

export interface ResolvedImage {
  /** Full, with its digest. */
  readonly reference: string;
  /** Of the manifest or index that the reference stands for. */
  readonly digest: Digest;
  /** The image configuration, exactly. */
  readonly config: Uint8Array;
  /** Of the platform's manifest, when it is known. */
  readonly manifest?: Descriptor;
}

/** As in fsutil's `Stat`; `mode` is Go's os.FileMode. */
export interface FileStat {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: bigint;
  /** Nanoseconds. */
  readonly modTime: bigint;
  readonly linkname: string;
  readonly devmajor: number;
  readonly devminor: number;
}

export interface FrontendResult {
  /** By platform ID (`linux/amd64`); one alone under ''. undefined: an empty file system. */
  readonly refs: ReadonlyMap<string, Edge | undefined>;
  /** As of BuildKit: `containerimage.config[/platform]`, `refs.platforms`, `result.json` of a subrequest … */
  readonly metadata: ReadonlyMap<string, Uint8Array>;
  /** By platform ID, what else is to be scanned for packages, by its name. */
  readonly extras?: ReadonlyMap<string, ReadonlyMap<string, Edge>>;
}
