import { randomUUID } from 'node:crypto';
import { canceled } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { BuildService } from '../build-service.ts';
import { ArchiveSession } from './archive-session.ts';
import { ClassicProgram, type ClassicProgramPorts } from './classic-program.ts';
import type { ClassicOutput, ClassicRequest } from './classic-request.ts';
import { frontendOptions } from './frontend-options.ts';
import { type ContextOptions, type ContextPorts, ReceivedContext } from './received-context.ts';

export interface ClassicBuildsPorts extends ClassicProgramPorts, ContextPorts {
  readonly builds: Pick<BuildService, 'begin'>;
}

export interface ClassicBuildsOptions {
  readonly contextLimits: ContextOptions['limits'];
  /** How long a client may leave its build waiting for its context; 0: for ever. */
  readonly patienceMs: number;
}

/** `POST /build`: builds whose client sends all that it has with its request, and wants Docker's text back. */
export class ClassicBuilds {
  readonly #ports: ClassicBuildsPorts;
  readonly #options: ClassicBuildsOptions;
  readonly #running = new Map<string, AbortController>();
  readonly #leaving = new Set<Promise<void>>();

  constructor(ports: ClassicBuildsPorts, options: ClassicBuildsOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  /**
   * Builds and tags an image; answers its ID. Throws `invalid` for what the Dockerfile or its context has wrong
   * (a `ClassicFailure` for an instruction), and what pulls throw. `id`: to cancel it by.
   */
  async build(
    given: ClassicRequest,
    output: ClassicOutput,
    options: { signal: AbortSignal; id?: string },
  ): Promise<Digest> {
    const request = await this.#withCache(given);
    const ref = randomUUID();
    const id = options.id ?? ref;
    const controller = new AbortController();
    const signal = AbortSignal.any([options.signal, controller.signal]);
    this.#running.set(id, controller);
    const context = this.#context(request, signal);
    const program = new ClassicProgram(this.#ports, request, output);
    try {
      const session = new ArchiveSession({ context, registryAuth: request.registryAuth }, signal);
      const build = this.#ports.builds.begin({
        ref,
        sessionId: session.id,
        session,
        frontend: 'dockerfile.v0',
        program,
        frontendOptions: frontendOptions(request, 'remote' in request.context ? request.context : {}),
        frontendInputs: {},
        exporters: [],
        cacheExports: [],
        cacheImports: request.cacheFrom.map((ref) => ({ type: 'registry', attrs: { ref } })),
        entitlements: [],
        // As any container of the engine's may.
        limits: { ...request.limits, entitlements: new Set(['network.host']) },
        internal: false,
      });
      await build.done;
    } catch (error) {
      // Whatever an abort made fail, the reason is the abort.
      throw signal.aborted ? canceled('Build cancelled') : error;
    } finally {
      if (this.#running.get(id) === controller) this.#running.delete(id);
      if (context) this.#leave(context);
    }
    return program.image!;
  }

  /** Ends the build that was begun with this id; not finding it is no error. */
  cancel(id: string): void {
    this.#running.get(id)?.abort();
  }

  /** Ends running builds, and waits for what they leave. */
  async stop(): Promise<void> {
    for (const controller of this.#running.values()) controller.abort();
    while (this.#leaving.size > 0) await Promise.all(this.#leaving);
  }

  #context({ context }: ClassicRequest, signal: AbortSignal): ReceivedContext | undefined {
    if ('remote' in context) return undefined;
    const { contextLimits: limits, patienceMs } = this.#options;
    return new ReceivedContext(this.#ports, context, { limits, patienceMs, signal });
  }

  /** Nobody waits for what is noted of it, or removed. */
  #leave(context: ReceivedContext): void {
    const left = context[Symbol.asyncDispose]()
      // What resists goes at the next start.
      .catch(() => undefined)
      .finally(() => this.#leaving.delete(left));
    this.#leaving.add(left);
  }

  async #withCache(request: ClassicRequest): Promise<ClassicRequest> {
    if (request.cacheFrom.length === 0) return request;
    const { store } = this.#ports;
    const found = await Promise.allSettled(request.cacheFrom.map((name) => store.lookUp(name)));
    const any = found.some(({ status }) => status === 'fulfilled');
    return any ? request : { ...request, noCache: true };
  }
}
