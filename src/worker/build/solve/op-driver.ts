import type { Digest } from '#oci/digest.ts';
import type { SpecResources } from '#worker/runtime/spec/spec-request.ts';
import type { Op } from '../llb/op.ts';
import type { Vertex } from '../llb/vertex.ts';
import type { BuildSession } from '../session/build-session.ts';
import type { ProgressSink } from './progress.ts';
import type { Ref } from './ref.ts';

/**
 * How one kind of op is identified and done. A driver knows nothing of caches, jobs or other vertices; the solver
 * knows nothing of files.
 */
export interface OpDriver<O extends Op = Op> {
  /**
   * What makes the op's outcome, its inputs apart. Sources answer with what they stand for (an image's digest, a
   * commit, the digest of what was downloaded); what cannot be known without its contents (a client's directory)
   * answers with something unique, and is `opaque`.
   */
  cacheMap(vertex: Vertex<O>, context: OpContext): Promise<CacheMap>;

  /** One is looked up and not known by its definition, so that it will most likely be done: may get ready for that. */
  expected?(): void;

  /** Does it, and answers a ref for each of its outputs. Throws `BuildFailure` when a command fails. Leaves nothing. */
  run(vertex: Vertex<O>, inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]>;
}

export interface CacheMap {
  readonly digest: string;
  /** The digest says nothing of the contents: what depends on it is known by its contents alone. */
  readonly opaque?: boolean;
  /** Of a source, what it was found to be: an image's digest, a commit, the digest of a download. */
  readonly resolved?: string;
  /** Of a source, what BuildKit's solver would call it; any of them is enough. */
  readonly portable?: readonly Digest[];
  /** One for each input. */
  readonly inputs: readonly InputKey[];
}

export interface InputKey {
  /** Which part of the input is read: counted together with the input's own identity, not with its contents. */
  readonly selector?: string;
  /**
   * The digest of that of the input's contents which the op reads: the second, slower key, for when what made the
   * input differs and what it came to may not. undefined: the ref's own identity (its layers) is all there is.
   */
  readonly contentDigest?: (ref: Ref, context: OpContext) => Promise<string>;
}

/** What a driver may use of the build (of one of the builds) that wants the vertex. */
export interface OpContext {
  /** Aborts when no build wants it any more; a running command is gone within a second then. */
  readonly signal: AbortSignal;
  /** What goes on, told under the vertex's digest to all who want it. */
  readonly progress: Pick<ProgressSink, 'status' | 'log'>;
  /** For clients' files, credentials, secrets, agents. A build without a client has one that refuses. */
  readonly session: BuildSession;
  /**
   * Takes what refs need to stay as they are (a synced directory, a lock on a checkout): disposed of when the last
   * build that uses the refs has ended; at once when the call throws.
   */
  readonly resources: AsyncDisposableStack;
  /** Says that nothing had to be done, as when an image's layers are all here: the vertex is shown as CACHED. */
  reused(): void;
  /** Of the build: what its steps may use and reach. Not part of any key. */
  readonly limits: BuildLimits;
}

export interface BuildLimits {
  readonly shmSize?: number;
  readonly resources?: SpecResources;
  readonly ulimits?: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent?: string;
  readonly entitlements: ReadonlySet<'network.host' | 'security.insecure' | 'device'>;
  /** Of the worker, whatever a client asks for. */
  readonly bounds?: StepBounds | undefined;
}

/** What a step may have at most, and has where nothing is said; null: as much as there is. */
export interface StepBounds {
  /** Bytes. */
  readonly memory: number | null;
  /** Cores. */
  readonly cpus: number | null;
  /** Processes. */
  readonly pids: number | null;
  /** It may choose its control group, and ulimits by which it gets in the way of others. */
  readonly unconfined: boolean;
}
