import { setTimeout as sleep } from 'node:timers/promises';
import { canceled, conflict, invalid, notFound, unsupported } from '#errors/errors.ts';
import type { Build, BuildService, BuildStart } from '#worker/build/build-service.ts';
import type { Bridge, FrontendRequest, FrontendResult } from '#worker/build/frontend/frontend.ts';
import type { BuildSession } from '#worker/build/session/build-session.ts';
import type { ProgressSink } from '#worker/build/solve/progress.ts';
import type { SessionManager } from '#worker/buildkit/session/session-manager.ts';

/** What a build does, told by a test. */
export interface Script {
  frontend?(request: FrontendRequest, build: ScriptedBuild): Promise<FrontendResult>;
  bridge?(build: ScriptedBuild): Partial<Bridge>;
  export?(result: FrontendResult, build: ScriptedBuild): Promise<Record<string, string>>;
}

/** Builds that do what a test says, behind the port of those that build. */
export class ScriptedBuilds implements BuildService {
  script: Script = {};
  readonly begun: BuildStart[] = [];
  readonly #sessions: SessionManager;
  readonly #builds = new Map<string, ScriptedBuild>();

  constructor(sessions: SessionManager) {
    this.#sessions = sessions;
  }

  begin(request: BuildStart): Build {
    if (this.#builds.has(request.ref)) throw conflict(`build ${request.ref} exists`);
    this.begun.push(request);
    const build = new ScriptedBuild(request, this.#sessions, this.script);
    this.#builds.set(request.ref, build);
    return build;
  }

  async find(ref: string, { signal }: { signal: AbortSignal }): Promise<Build> {
    for (let tries = 0; tries < 300; tries++) {
      const build = this.#builds.get(ref);
      if (build) return build;
      await sleep(10, undefined, { signal });
    }
    throw notFound(`no such job ${ref}`);
  }
}

export class ScriptedBuild implements Build {
  readonly ref: string;
  readonly request: BuildStart;
  readonly done: Promise<Readonly<Record<string, string>>>;
  readonly #controller = new AbortController();
  readonly #result = Promise.withResolvers<FrontendResult>();
  readonly #sessions: SessionManager;
  readonly #script: Script;
  readonly #told: ((sink: ProgressSink) => unknown)[] = [];
  readonly #sinks = new Set<ProgressSink>();

  constructor(request: BuildStart, sessions: SessionManager, script: Script) {
    this.ref = request.ref;
    this.request = request;
    this.#sessions = sessions;
    this.#script = script;
    this.#controller.signal.addEventListener('abort', () =>
      this.#result.reject(canceled('context canceled')),
    );
    this.done = this.#run();
    this.done.catch(() => {});
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get bridge(): Bridge {
    const refuse = () => Promise.reject(unsupported('the script has none of that'));
    return {
      session: undefined as never,
      signal: this.signal,
      resolveImage: refuse,
      resolveSource: refuse,
      allowed: async (edge) => edge,
      solve: refuse,
      readFile: refuse,
      readDirectory: refuse,
      statFile: refuse,
      warn: (warning) => this.tell((sink) => sink.warning({ vertex: '', ...warning })),
      ...this.#script.bridge?.(this),
    };
  }

  session(): Promise<BuildSession> {
    return this.#sessions.find(this.request.sessionId, { signal: this.signal });
  }

  async runFrontend(name: string, request: FrontendRequest): Promise<FrontendResult> {
    if (name !== 'dockerfile.v0') throw unsupported(`unknown frontend ${name}`);
    if (!this.#script.frontend) throw invalid('the script has no frontend');
    return this.#script.frontend(request, this);
  }

  finish(result: FrontendResult): void {
    this.#result.resolve(result);
  }

  fail(error: unknown): void {
    this.#result.reject(error);
  }

  async importCaches(): Promise<void> {}

  cancel(): void {
    this.#controller.abort();
  }

  tell(event: (sink: ProgressSink) => unknown): void {
    this.#told.push(event);
    for (const sink of this.#sinks) event(sink);
  }

  async watch(sink: ProgressSink, { signal }: { signal: AbortSignal }): Promise<void> {
    for (const event of this.#told) event(sink);
    this.#sinks.add(sink);
    const gone = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    await Promise.race([gone, this.done.catch(() => {})]);
    this.#sinks.delete(sink);
  }

  async #run(): Promise<Record<string, string>> {
    const { frontend, frontendOptions: options, frontendInputs: inputs, definition } = this.request;
    if (frontend)
      this.runFrontend(frontend, { options, inputs }).then(
        (result) => this.finish(result),
        (error) => this.fail(error),
      );
    else if (definition) this.finish({ refs: new Map([['', definition]]), metadata: new Map() });
    const result = await this.#result.promise;
    return (await this.#script.export?.(result, this)) ?? {};
  }
}
