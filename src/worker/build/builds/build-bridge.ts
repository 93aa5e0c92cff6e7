import { randomUUID } from 'node:crypto';
import { forbidden, SlipwayError, unavailable } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import type { Platform } from '#oci/platform.ts';
import type {
  Bridge,
  FileStat,
  ResolvedImage,
  ResolveImageOptions,
  ResolveSourceOptions,
} from '../frontend/frontend.ts';
import type { SourceOp } from '../llb/op.ts';
import type { Edge } from '../llb/vertex.ts';
import { PolicyDenial } from '../policy/policy-denial.ts';
import type { PolicyVerifier, SourceQuestion } from '../policy/policy-verifier.ts';
import { SourceGuard } from '../policy/source-guard.ts';
import type { SourceMeta, WantedMeta } from '../policy/source-meta.ts';
import type { SourcePolicy } from '../policy/source-policy.ts';
import type { BuildSession } from '../session/build-session.ts';
import type { ProgressSink, WarningEvent } from '../solve/progress.ts';
import type { Ref } from '../solve/ref.ts';
import type { SolveJob } from '../solve/solve-job.ts';
import { shownAsVertex } from './shown-as-vertex.ts';
import { unresolved } from './unresolved-image.ts';

/** Finds out what an image's name stands for now. */
export interface ImageResolver {
  /** As of `Bridge.resolveImage`; credentials are the session's. */
  resolve(
    reference: string,
    options: Omit<ResolveImageOptions, 'name'> & { session: BuildSession; signal: AbortSignal },
  ): Promise<ResolvedImage>;
}

/** Finds out what a source stands for now. */
export interface SourceDescriber {
  describe(
    source: SourceOp,
    wanted: WantedMeta,
    options: { platform: Platform | undefined; session: BuildSession; signal: AbortSignal },
  ): Promise<SourceMeta>;
}

/** Reads files of refs, as of `Bridge`. */
export interface RefReader {
  readFile(
    ref: Ref,
    path: string,
    options: { signal: AbortSignal; range?: { offset: number; length: number } },
  ): Promise<Uint8Array>;
  readDirectory(
    ref: Ref,
    path: string,
    options: { signal: AbortSignal; include?: string },
  ): Promise<readonly FileStat[]>;
  statFile(ref: Ref, path: string, options: { signal: AbortSignal }): Promise<FileStat>;
}

export interface BuildBridgePorts {
  readonly images: ImageResolver;
  readonly sources: SourceDescriber;
  readonly reader: RefReader;
}

/** What a build has when its turn has come. */
export interface OpenBuild {
  readonly session: BuildSession;
  readonly job: SolveJob;
}

export interface BridgedBuild {
  readonly opened: Promise<OpenBuild>;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
  readonly policies?: readonly SourcePolicy[] | undefined;
  readonly verifier?: PolicyVerifier | undefined;
}

/** A build as its frontend sees it. What is asked for before the build's turn has come waits for that. */
export class BuildBridge implements Bridge {
  readonly signal: AbortSignal;
  /** What frontends have looked at, by vertex. */
  readonly #consulted = new Map<string, Edge>();
  readonly #ports: BuildBridgePorts;
  readonly #progress: ProgressSink;
  readonly #opened: Promise<OpenBuild>;
  readonly #images = new Map<string, Promise<ResolvedImage>>();
  readonly #asked = new Set<string>();
  readonly #guard: SourceGuard;
  #session: BuildSession | undefined;

  constructor(ports: BuildBridgePorts, build: BridgedBuild) {
    this.#ports = ports;
    this.#progress = build.progress;
    this.#opened = build.opened;
    this.signal = build.signal;
    const { policies = [], verifier, signal } = build;
    const describe = (asked: SourceQuestion) => this.#describe(asked);
    this.#guard = new SourceGuard({ policies, verifier, describe, signal });
    build.opened.then(
      ({ session }) => {
        this.#session = session;
      },
      () => undefined,
    );
  }

  get session(): BuildSession {
    if (!this.#session) throw unavailable('the build has not begun');
    return this.#session;
  }

  /** A name means the same throughout a build. */
  async resolveImage(
    asked: string,
    { name, policies, ...options }: ResolveImageOptions,
  ): Promise<ResolvedImage> {
    const reference = await this.#allowedImage(asked, options, policies);
    const key = JSON.stringify([reference, options.platform, options.mode, options.store]);
    const known = this.#images.get(key);
    if (known) return known;
    const resolved = this.#opened.then(({ session }) =>
      shownAsVertex(this.#progress, { digest: digestOf(`resolve ${key}`), name }, () =>
        this.#ports.images
          .resolve(reference, { ...options, session, signal: this.signal })
          .catch((error: unknown) => {
            throw unresolved(error, reference);
          }),
      ),
    );
    this.#images.set(key, resolved);
    this.#asked.add(reference);
    return resolved;
  }

  /** References of images that frontends have asked for. */
  get asked(): ReadonlySet<string> {
    return this.#asked;
  }

  get consulted(): readonly Edge[] {
    return [...this.#consulted.values()];
  }

  async resolveSource(asked: SourceOp, options: ResolveSourceOptions): Promise<SourceMeta> {
    const { platform, name, wanted, policies } = options;
    await this.#opened;
    const source = await this.#guard.source(asked, platform, policies).catch((error: unknown) => {
      throw byPolicy(error);
    });
    return this.#describe({ source, platform, wanted, ...(name !== undefined && { name }) });
  }

  async allowed(edge: Edge, policies: readonly SourcePolicy[] = []): Promise<Edge> {
    if (this.#guard.idle && policies.length === 0) return edge;
    await this.#opened;
    return this.#guard.graph(edge, policies);
  }

  async solve(asked: Edge): Promise<Ref> {
    const { job } = await this.#opened;
    const edge = await this.allowed(asked);
    this.#consulted.set(edge.vertex.digest, edge);
    return job.solve(edge);
  }

  readFile(ref: Ref, path: string, range?: { offset: number; length: number }): Promise<Uint8Array> {
    return this.#ports.reader.readFile(ref, path, { signal: this.signal, ...(range && { range }) });
  }

  readDirectory(ref: Ref, path: string, include?: string): Promise<readonly FileStat[]> {
    const { signal } = this;
    return this.#ports.reader.readDirectory(ref, path, { signal, ...(include !== undefined && { include }) });
  }

  statFile(ref: Ref, path: string): Promise<FileStat> {
    return this.#ports.reader.statFile(ref, path, { signal: this.signal });
  }

  async #allowedImage(
    reference: string,
    { platform, store }: Pick<ResolveImageOptions, 'platform' | 'store'>,
    policies: readonly SourcePolicy[] = [],
  ): Promise<string> {
    if (this.#guard.idle && policies.length === 0) return reference;
    await this.#opened;
    const scheme = store === undefined ? 'docker-image' : 'oci-layout';
    const attrs: SourceOp['attrs'] = store === undefined ? {} : { 'oci.store': store };
    const op: SourceOp = { kind: 'source', identifier: `${scheme}://${reference}`, attrs };
    const { identifier } = await this.#guard.source(op, platform, policies).catch((error: unknown) => {
      throw byPolicy(error);
    });
    if (identifier.startsWith(`${scheme}://`)) return identifier.slice(scheme.length + 3);
    throw forbidden(`a policy makes ${identifier} of ${reference}, which is to be an image`);
  }

  async #describe({ source: asked, platform, name, wanted }: SourceQuestion): Promise<SourceMeta> {
    const { session } = await this.#opened;
    const { signal } = this;
    const source = this.#guard.rules(asked);
    const shownName = name || `resolve source metadata for ${source.identifier}`;
    const digest = digestOf(`describe ${randomUUID()}`);
    return shownAsVertex(this.#progress, { digest, name: shownName }, () =>
      this.#ports.sources.describe(source, wanted, { platform, session, signal }),
    );
  }

  warn(warning: Omit<WarningEvent, 'vertex'> & { readonly vertex?: string }): void {
    this.#progress.warning({ ...warning, vertex: warning.vertex ?? '' });
  }
}

function byPolicy(error: unknown): unknown {
  if (!(error instanceof SlipwayError) || error.kind === 'canceled') return error;
  const message = `could not resolve image due to policy: ${error.message}`;
  if (error instanceof PolicyDenial) return new PolicyDenial(message, error.messages);
  return new SlipwayError(error.kind, message, { cause: error });
}
