import { notFound, unavailable } from '#errors/errors.ts';
import type { BuildSession } from '#worker/build/session/build-session.ts';
import type { BuildLimits } from '#worker/build/solve/op-driver.ts';
import type { LogEvent, ProgressSink, StatusEvent, VertexEvent } from '#worker/build/solve/progress.ts';
import type { SolveJob } from '#worker/build/solve/solve-job.ts';
import { Solver } from '#worker/build/solve/solver.ts';
import { FakeDrivers } from './fake-drivers.ts';
import { MemoryCache } from './memory-cache.ts';

/** Remembers all that it is told. */
export class Recorder implements ProgressSink {
  readonly events: VertexEvent[] = [];
  readonly statuses: StatusEvent[] = [];
  readonly logs: LogEvent[] = [];

  vertex(event: VertexEvent): void {
    this.events.push(event);
  }

  status(event: StatusEvent): void {
    this.statuses.push(event);
  }

  async log(event: LogEvent): Promise<void> {
    this.logs.push(event);
  }

  warning(): void {}

  /** By name, how each vertex ended. */
  get shown(): Record<string, string> {
    return Object.fromEntries(
      this.events.map((event) => [
        event.name,
        event.error ??
          (event.cached ? 'cached' : event.completed ? 'done' : event.started ? 'started' : 'known'),
      ]),
    );
  }

  text(name: string): string {
    const digests = new Set(this.events.filter((event) => event.name === name).map((event) => event.digest));
    return this.logs
      .filter((log) => digests.has(log.vertex))
      .map((log) => Buffer.from(log.data).toString())
      .join('');
  }
}

/** A client whose files are called `files`. */
export function session(id: string, files = ''): BuildSession & { close(): void } {
  const controller = new AbortController();
  const refuse = async () => {
    throw unavailable('this client has nothing');
  };
  return {
    id,
    closed: controller.signal,
    close: () => controller.abort(),
    offers: (service) => service === 'secret',
    secret: async (name) => {
      if (controller.signal.aborted) throw unavailable('the client is gone');
      if (name !== 'files') throw notFound(`no secret ${name}`);
      return Buffer.from(files);
    },
    directory: refuse,
    credentials: async () => undefined,
    token: async () => undefined,
    upload: () => {
      throw unavailable('this client has nothing');
    },
    agent: refuse,
    sendFile: refuse,
    sendDirectory: refuse,
    hasContent: refuse,
    writeContent: refuse,
    readContent: () => {
      throw unavailable('this client has nothing');
    },
  };
}

export interface TestJob {
  readonly job: SolveJob;
  readonly heard: Recorder;
  readonly session: ReturnType<typeof session>;
  cancel(): void;
}

/** A solver with drivers that do nothing but what they are told. */
export class SolverWorld {
  readonly fake = new FakeDrivers();
  readonly cache = new MemoryCache();
  readonly solver: Solver;
  #jobs = 0;

  constructor(options: { parallelism?: number } = {}) {
    this.solver = new Solver(
      { drivers: this.fake.drivers, cache: this.cache },
      { parallelism: options.parallelism ?? 4 },
    );
  }

  job(options: { files?: string; entitlements?: BuildLimits['entitlements'] } = {}): TestJob {
    const heard = new Recorder();
    const controller = new AbortController();
    const client = session(`session-${this.#jobs++}`, options.files);
    const job = this.solver.job({
      owner: client.id,
      session: client,
      progress: heard,
      limits: { entitlements: options.entitlements ?? new Set() },
      signal: controller.signal,
    });
    return { job, heard, session: client, cancel: () => controller.abort() };
  }
}
