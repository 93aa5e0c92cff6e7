import type { Bridge, Frontend, FrontendRequest, FrontendResult } from './frontend/frontend.ts';
import type { Edge } from './llb/vertex.ts';
import type { PolicyVerifier } from './policy/policy-verifier.ts';
import type { SourcePolicy } from './policy/source-policy.ts';
import type { BuildSession } from './session/build-session.ts';
import type { BuildLimits } from './solve/op-driver.ts';
import type { ProgressSink } from './solve/progress.ts';

/** Builds, as BuildKit's Control API sees them. Classic builds and `slipway build` are its clients too. */
export interface BuildService {
  /** Begins a build; it waits for its turn and for its session by itself. Throws `conflict` for a ref that runs. */
  begin(request: BuildStart): Build;
  /** A running build, or one that has ended within the last minute; waits a little for one that is about to begin. */
  find(ref: string, options: { signal: AbortSignal }): Promise<Build>;
}

export interface BuildStart {
  /** The client's name for it. */
  readonly ref: string;
  readonly sessionId: string;
  /** In place of that of a client that is connected. */
  readonly session?: BuildSession;
  /** `dockerfile.v0`; undefined: `definition` is solved, or, without it, what the client returns through the bridge. */
  readonly frontend?: string;
  /** In place of the frontend of that name. */
  readonly program?: BuildProgram;
  readonly frontendOptions: Readonly<Record<string, string>>;
  readonly frontendInputs: Readonly<Record<string, Edge>>;
  /** null: an empty file system. */
  readonly definition?: Edge | null;
  readonly exporters: readonly { readonly type: string; readonly attrs: Readonly<Record<string, string>> }[];
  readonly cacheExports: readonly CacheOption[];
  readonly cacheImports: readonly CacheOption[];
  readonly entitlements: readonly string[];
  /** What it may be made of, and a client that is asked on top of that. */
  readonly policies?: readonly SourcePolicy[];
  readonly verifier?: PolicyVerifier;
  /** What its steps may use. `entitlements` here are not asked for, but given. */
  readonly limits?: Partial<BuildLimits>;
  /** Not in the history. */
  readonly internal: boolean;
}

/** A frontend that one build brings along, and that is told of all that goes on in it, as it happens. */
export interface BuildProgram extends Frontend {
  readonly progress: ProgressSink;
}

export interface CacheOption {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

export interface Build {
  readonly ref: string;
  /** For a client's own frontend (LLBBridge), and to run ours on its behalf. */
  readonly bridge: Bridge;
  /** Lets the build take steps from caches that its client names on the way. */
  importCaches(options: readonly CacheOption[]): Promise<void>;
  /** Runs one of our frontends in this build. Throws `unsupported` for a name that is none. */
  runFrontend(name: string, request: FrontendRequest): Promise<FrontendResult>;
  /** What a client's frontend has come to: exports follow. */
  finish(result: FrontendResult): void;
  fail(error: unknown): void;
  /** All that was told so far, and what follows, until the build is over. */
  watch(sink: ProgressSink, options: { signal: AbortSignal }): Promise<void>;
  cancel(): void;
  /** The exporters' response attributes. Rejects with why the build failed. */
  readonly done: Promise<Readonly<Record<string, string>>>;
}
