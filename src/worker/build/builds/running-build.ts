import { canceled, isKind, messageOf, SlipwayError, unsupported } from '#errors/errors.ts';
import type { Tracer } from '#observability/tracer.ts';
import { digestOf } from '#oci/digest.ts';
import { attestationOptions } from '../attest/attestation-options.ts';
import type { TellGraph } from '../attest/graph-words.ts';
import { provenanceOf } from '../attest/provenance.ts';
import type { Build, BuildStart, CacheOption } from '../build-service.ts';
import { formatSource } from '../dockerfile/source-excerpt.ts';
import { BuildFailure } from '../drivers/build-failure.ts';
import type { Exporter, SolvedResult } from '../export/exporter.ts';
import type { ExportedResult } from '../export/image-writer.ts';
import type { Frontend, FrontendRequest, FrontendResult } from '../frontend/frontend.ts';
import type { BuildLog } from '../history/build-log.ts';
import type { BuildFault, BuildRecord } from '../history/build-record.ts';
import { StepSummary } from '../history/step-summary.ts';
import { SourceError } from '../llb/source-error.ts';
import type { Misses } from '../misses/misses.ts';
import { argumentsOf, projectOf } from '../misses/project.ts';
import type { BuildSession } from '../session/build-session.ts';
import type { Sessions } from '../session/sessions.ts';
import type { FairSlots } from '../solve/fair-slots.ts';
import type { BuildLimits } from '../solve/op-driver.ts';
import type { ProgressSink } from '../solve/progress.ts';
import type { SolveJob } from '../solve/solve-job.ts';
import type { Solver } from '../solve/solver.ts';
import { attestationsOf, lookedAt } from './attestations.ts';
import {
  BuildBridge,
  type ImageResolver,
  type OpenBuild,
  type RefReader,
  type SourceDescriber,
} from './build-bridge.ts';
import { BuildCaches, type BuildCachesPorts, importsIn } from './build-caches.ts';
import { KeptDocuments } from './kept-documents.ts';
import { PackageLists, type PackageScan } from './package-lists.ts';
import { platformWarnings } from './platform-warnings.ts';
import { shownAsVertex } from './shown-as-vertex.ts';
import { TracedProgress } from './traced-progress.ts';
import { scrubbed } from './without-secrets.ts';

export interface RunningBuildPorts {
  readonly solver: Solver;
  readonly sessions: Sessions;
  readonly images: ImageResolver;
  readonly sources: SourceDescriber;
  readonly reader: RefReader;
  readonly packages: PackageScan;
  /** How provenance tells a graph. */
  readonly tellGraph: TellGraph;
  readonly misses: Misses;
  /** By name: `dockerfile.v0`. */
  readonly frontends: ReadonlyMap<string, Frontend>;
  readonly exporters: { of(type: string): Exporter };
  readonly caches: BuildCachesPorts;
  readonly tracer?: Tracer | undefined;
}

export interface RunningBuildOptions {
  readonly log: BuildLog;
  readonly turns: FairSlots;
  readonly limits: BuildLimits;
  /** Hears how it ended, before its client does. */
  readonly ended: (outcome: BuildOutcome, error?: unknown) => Promise<void>;
}

export type BuildOutcome = Pick<BuildRecord, 'completedAt' | 'error'> &
  Partial<Pick<BuildRecord, 'response'>>;

/** One build, from the moment it is asked for. */
export class RunningBuild implements Build {
  readonly ref: string;
  readonly bridge: BuildBridge;
  readonly done: Promise<Readonly<Record<string, string>>>;
  readonly createdAt = new Date();
  /** For when it is over. */
  readonly documents = new KeptDocuments();
  readonly #ports: RunningBuildPorts;
  readonly #start: BuildStart;
  readonly #limits: BuildLimits;
  readonly #log: BuildLog;
  readonly #summary = new StepSummary();
  readonly #progress: ProgressSink;
  readonly #controller = new AbortController();
  readonly #caches: BuildCaches;
  readonly #opened = Promise.withResolvers<OpenBuild>();
  /** What the client's frontend comes to. */
  readonly #returned = Promise.withResolvers<FrontendResult>();
  /** The last frontend of ours that was asked for something, as provenance tells it. */
  #asked: { readonly frontend: string; readonly options: Readonly<Record<string, string>> };

  /** What its last result is to be scanned with; results of clients' frontends do not say. */
  #extras: FrontendResult['extras'];

  constructor(
    ports: RunningBuildPorts,
    start: BuildStart,
    { log, turns, limits, ended }: RunningBuildOptions,
  ) {
    this.ref = start.ref;
    this.#ports = ports;
    this.#start = start;
    this.#limits = limits;
    this.#log = log;
    this.#caches = new BuildCaches(ports.caches, start.cacheExports);
    const { program } = start;
    const { tracer } = ports;
    const traced = tracer ? [new TracedProgress(tracer)] : [];
    const told = [log, this.#summary, ...traced, ...(program ? [program.progress] : [])];
    this.#progress = toAll(told);
    this.#asked = { frontend: start.frontend ?? '', options: start.frontendOptions };
    const { signal } = this.#controller;
    const { policies, verifier } = start;
    const opened = this.#opened.promise;
    this.bridge = new BuildBridge(ports, { opened, progress: this.#progress, signal, policies, verifier });
    for (const { promise } of [this.#opened, this.#returned]) promise.catch(() => undefined);
    this.done = this.#run(turns)
      .finally(() => log.end())
      .then(
        async (response) => {
          await ended({ completedAt: new Date(), response });
          return response;
        },
        async (error: unknown) => {
          await ended({ completedAt: new Date(), error: failureOf(error) }, error);
          throw error;
        },
      );
    this.done.catch(() => undefined);
  }

  async importCaches(options: readonly CacheOption[]): Promise<void> {
    if (options.length === 0) return;
    const opened = {
      ...(await this.#opened.promise),
      progress: this.#progress,
      signal: this.#controller.signal,
    };
    this.#caches.import(options, opened);
  }

  async runFrontend(name: string, request: FrontendRequest): Promise<FrontendResult> {
    const frontend = this.#ports.frontends.get(name);
    if (!frontend) throw unsupported(`frontend ${JSON.stringify(name)} is not one of this builder's`);
    this.#asked = { frontend: name, options: { ...this.#start.frontendOptions, ...request.options } };
    await this.#opened.promise;
    await this.importCaches(importsIn(request.options));
    const result = await frontend.solve(request, this.bridge);
    this.#extras = result.extras;
    return result;
  }

  finish(result: FrontendResult): void {
    this.#returned.resolve(result);
  }

  fail(error: unknown): void {
    this.#returned.reject(error);
  }

  watch(sink: ProgressSink, options: { signal: AbortSignal }): Promise<void> {
    return this.#log.replay(sink, options);
  }

  cancel(): void {
    this.#controller.abort(canceled('context canceled'));
  }

  /** As it is to be remembered, as far as it has got. */
  record(outcome: BuildOutcome = {}): BuildRecord {
    return {
      ref: this.ref,
      frontend: this.#asked.frontend,
      frontendOptions: this.#asked.options,
      exporters: this.#start.exporters,
      createdAt: this.createdAt,
      response: {},
      steps: this.#summary.steps,
      warnings: this.#summary.warnings,
      ...outcome,
    };
  }

  async #run(turns: FairSlots): Promise<Readonly<Record<string, string>>> {
    const { signal } = this.#controller;
    try {
      const { session = await this.#ports.sessions.find(this.#start.sessionId, { signal }) } = this.#start;
      const gone = () => this.cancel();
      session.closed.addEventListener('abort', gone, { once: true });
      try {
        if (session.closed.aborted) throw canceled('the client is gone');
        // What clients ask to see what we can do waits for nobody.
        if (this.#start.internal) return await this.#build(session);
        return await turns.run(session.id, signal, () => this.#build(session));
      } finally {
        session.closed.removeEventListener('abort', gone);
      }
    } catch (error) {
      // Whatever an abort made fail, the reason is the abort.
      const reason = signal.aborted ? signal.reason : error;
      this.#opened.reject(reason);
      this.#returned.reject(reason);
      throw reason;
    }
  }

  async #build(session: BuildSession): Promise<Readonly<Record<string, string>>> {
    const { signal } = this.#controller;
    // What makes no sense is said before anything is done.
    attestationOptions(this.#start.frontendOptions);
    for (const { type } of this.#start.exporters) this.#ports.exporters.of(type);
    const caches = this.#caches;
    caches.check();
    await using misses = this.#ports.misses.of({
      project: () => projectOf(this.#asked.options, session),
      buildArguments: () => argumentsOf(this.#asked.options),
      told: (digest, reason) => this.#summary.missed(digest, reason),
    });
    await using job = this.#ports.solver.job({
      owner: this.ref,
      session,
      progress: this.#progress,
      limits: this.#limits,
      signal,
      misses,
    });
    const opened = { job, session, progress: this.#progress, signal };
    caches.import([...this.#start.cacheImports, ...importsIn(this.#start.frontendOptions)], opened);
    this.#opened.resolve({ session, job });
    const left = Promise.withResolvers<never>();
    left.promise.catch(() => undefined);
    signal.addEventListener('abort', () => left.reject(signal.reason), { once: true });
    const result = await Promise.race([this.#allowed(), left.promise]);
    await this.#verify(result);
    const refs = await Promise.race([solveAll(job, result), left.promise]);
    try {
      const response = await this.#export(result, refs, opened);
      return { ...response, ...(await caches.export(result, refs, opened)) };
    } finally {
      if (!this.#start.internal) this.#recordProvenance(result, job);
    }
  }

  /** All that is known of how it was made is kept with it, whatever goes along with its image. */
  #recordProvenance(result: FrontendResult, job: SolveJob): void {
    const { frontend, options } = this.#asked;
    const { provenance } = attestationOptions(options);
    const facts = {
      frontend,
      frontendOptions: scrubbed(options),
      invocationId: this.ref,
      startedAt: this.createdAt,
      finishedAt: new Date(),
      resolved: job.resolved.bind(job),
      consulted: lookedAt(result, this.bridge.consulted),
      asked: this.bridge.asked,
      tell: this.#ports.tellGraph,
    };
    const all = { mode: 'max', version: 'v1', reproducible: false, inlineOnly: false } as const;
    for (const [platform, edge] of result.refs) {
      if (!edge) continue;
      const builderId = provenance?.builderId ?? '';
      this.documents.made(platform, provenanceOf({ ...facts, edge }, { ...all, builderId }));
    }
  }

  async #verify(result: FrontendResult): Promise<void> {
    const warnings = platformWarnings(this.#start.frontendOptions.platform ?? '', result);
    if (warnings.length === 0) return;
    const name = 'Verifying build result';
    const vertex = digestOf(`${this.ref} ${name}`);
    await shownAsVertex(this.#progress, { digest: vertex, name }, async () => {
      for (const short of warnings) this.bridge.warn({ vertex, level: 0, short, detail: [] });
    });
  }

  /** What the frontend comes to, as policies let it be built. */
  async #allowed(): Promise<FrontendResult> {
    const { refs, ...result } = await this.#result();
    const allowed = [...refs].map(
      async ([name, edge]) => [name, edge && (await this.bridge.allowed(edge))] as const,
    );
    return { ...result, refs: new Map(await Promise.all(allowed)) };
  }

  /** What the frontend comes to: ours, none, or the client's. */
  async #result(): Promise<FrontendResult> {
    const { frontend, program, frontendOptions: options, frontendInputs: inputs, definition } = this.#start;
    if (program) return await program.solve({ options, inputs }, this.bridge);
    if (frontend) return await this.runFrontend(frontend, { options, inputs });
    if (definition !== undefined)
      return { refs: new Map([['', definition ?? undefined]]), metadata: new Map() };
    return await this.#returned.promise;
  }

  async #attestations(result: FrontendResult, job: SolveJob) {
    const { frontend, options: frontendOptions } = this.#asked;
    const options = attestationOptions(frontendOptions);
    const { ref, createdAt: startedAt } = this;
    const { signal } = this.#controller;
    const resolved = job.resolved.bind(job);
    const { consulted, asked } = this.bridge;
    const { tellGraph: tell } = this.#ports;
    const layers = job.layers.bind(job);
    const described = { ref, frontend, frontendOptions, consulted, startedAt };
    const build = { ...described, resolved, asked, tell, layers, signal };
    let scans = 0;
    const scan: PackageScan = (tree, given) => {
      const name = '[internal] scanning for packages';
      return shownAsVertex(this.#progress, { digest: digestOf(`${ref} ${name} ${scans++}`), name }, () =>
        this.#ports.packages(tree, given),
      );
    };
    const lists = new PackageLists({ bridge: this.bridge, scan });
    const extras = this.#extras && { extras: this.#extras };
    return await attestationsOf({ ...result, ...extras }, build, options, lists);
  }

  async #export(
    { refs: edges, metadata }: FrontendResult,
    refs: SolvedResult['refs'],
    { job, session, signal }: OpenBuild & { readonly signal: AbortSignal },
  ): Promise<Readonly<Record<string, string>>> {
    const told = [...metadata].filter(([name]) => name.startsWith('frontend.'));
    const fromFrontend = Object.fromEntries(
      told.map(([name, value]) => [name, Buffer.from(value).toString()]),
    );
    if (this.#start.exporters.length === 0) return fromFrontend;
    const attestations = await this.#attestations({ refs: edges, metadata }, job);
    const inlineCache = this.#caches.inline({ refs: edges, metadata }, job);
    const result = { refs, metadata, attestations, ...(inlineCache && { inlineCache }) };
    const wanted = this.#start.exporters.map(({ type, attrs }) => ({
      attrs,
      exporter: this.#ports.exporters.of(type),
    }));
    const responses: Readonly<Record<string, string>>[] = [];
    // One after the other: what the first has compressed, the next has at hand.
    for (const [exporterId, { attrs, exporter }] of wanted.entries()) {
      const exported = (image: ExportedResult) => this.documents.exported(exporterId, image);
      const context = { attrs, exporterId, session, progress: this.#progress, exported, signal };
      responses.push(await exporter.export(result, context));
    }
    return Object.assign({}, ...responses, fromFrontend);
  }
}

async function solveAll(job: SolveJob, { refs }: FrontendResult): Promise<SolvedResult['refs']> {
  const solved = await Promise.all(
    [...refs].map(async ([platform, edge]) => [platform, edge && (await job.solve(edge))] as const),
  );
  return new Map(solved);
}

/** How a failure is remembered. */
export function failureOf(error: unknown): BuildFault {
  if (isKind(error, 'canceled')) return { kind: 'canceled', message: 'context canceled' };
  const kind = error instanceof SlipwayError ? error.kind : 'internal';
  const excerpt = error instanceof SourceError ? error.sources.map(formatSource).join('') : '';
  const command = error instanceof SourceError ? error.cause : error;
  return {
    kind,
    message: messageOf(error),
    ...(excerpt && { excerpt }),
    ...(command instanceof BuildFailure && { exitCode: command.exitCode }),
  };
}

function toAll(sinks: readonly ProgressSink[]): ProgressSink {
  return {
    vertex: (event) => {
      for (const sink of sinks) sink.vertex(event);
    },
    status: (event) => {
      for (const sink of sinks) sink.status(event);
    },
    log: async (event) => {
      await Promise.all(sinks.map((sink) => sink.log(event)));
    },
    warning: (event) => {
      for (const sink of sinks) sink.warning(event);
    },
  };
}
