import type { Logger } from 'pino';
import { invalid, notFound } from '#errors/errors.ts';
import type { PlacedKind, PlacementsRepository } from './placements-repository.ts';
import type { WorkerClient } from './worker-client.ts';
import type { LivingWorker, Workers } from './workers.ts';

/** Milliseconds that a worker gets to say whether it has something. */
const PATIENCE = 10_000;
/** So many execs are remembered; of others every worker is asked. */
const EXECS = 10_000;

const MISSING: Readonly<Record<PlacedKind, (reference: string) => string>> = {
  container: (reference) => `No such container: ${reference}`,
  network: (reference) => `network ${reference} not found`,
  volume: (reference) => `get ${reference}: no such volume`,
};

export interface Found {
  readonly worker: string;
  /** Null while it is being made. */
  readonly id: string | null;
  readonly name: string | null;
}

/** Finds the worker that has something: in the pool's directory, or, where that does not know, by asking all of them. */
export class PoolObjects {
  readonly #placements: PlacementsRepository;
  readonly #workers: Workers;
  readonly #client: WorkerClient;
  readonly #log: Logger;
  readonly #execs = new Map<string, string>();

  constructor(ports: {
    placements: PlacementsRepository;
    workers: Workers;
    client: WorkerClient;
    log: Logger;
  }) {
    this.#placements = ports.placements;
    this.#workers = ports.workers;
    this.#client = ports.client;
    this.#log = ports.log;
  }

  /** Undefined when nobody has it. Throws `invalid` when the reference is the beginning of several IDs. */
  async find(kind: PlacedKind, reference: string): Promise<Found | undefined> {
    const known = await this.#placements.find(kind, reference);
    if (known.length > 1) throw invalid(`multiple IDs found with provided prefix: ${reference}`);
    return known[0] ?? (await this.#askAll(kind, reference));
  }

  /** The worker of an object. Throws `not-found` in the engine's words, and `unavailable` when the worker is away. */
  async workerOf(kind: PlacedKind, reference: string): Promise<LivingWorker> {
    const found = await this.find(kind, reference);
    if (!found) throw notFound(MISSING[kind](reference));
    return await this.#workers.named(found.worker);
  }

  rememberExec(id: string, worker: string): void {
    this.#execs.set(id, worker);
    if (this.#execs.size > EXECS) this.#execs.delete(this.#execs.keys().next().value!);
  }

  async workerOfExec(id: string): Promise<LivingWorker> {
    const known = this.#execs.get(id);
    if (known) return await this.#workers.named(known);
    const found = await this.#firstWith(`/exec/${encodeURIComponent(id)}/json`);
    if (found) return found.worker;
    throw notFound(`No such exec instance: ${id}`);
  }

  async #askAll(kind: PlacedKind, reference: string): Promise<Found | undefined> {
    const path = `/${kind}s/${encodeURIComponent(reference)}`;
    const found = await this.#firstWith(kind === 'container' ? `${path}/json` : path);
    if (!found) return undefined;
    const { Id, Name, Labels, Driver } = found.body as {
      Id?: string;
      Name: string;
      Labels?: Record<string, string>;
      Driver?: string;
    };
    // One that the pool has no more; the worker has not heard of that yet.
    if (kind === 'network' && Driver === 'overlay') return undefined;
    const worker = found.worker.name;
    const name = Name.replace(/^\//, '');
    const id = Id ?? name;
    const project = Labels?.['com.docker.compose.project'];
    if (!isPredefined(kind, name)) await this.#placements.adopt({ kind, name, id, worker, project });
    return { worker, id, name };
  }

  /** The first worker, by name, that has something at a path. */
  async #firstWith(path: string): Promise<{ worker: LivingWorker; body: unknown } | undefined> {
    const answers = await Promise.all(
      (await this.#workers.living()).map(async (worker) => {
        try {
          const { status, body } = await this.#client.ask(worker, { path, patience: PATIENCE });
          return status === 200 ? { worker, body } : undefined;
        } catch (error) {
          this.#log.warn({ err: error, worker: worker.name }, 'a worker was left out');
          return undefined;
        }
      }),
    );
    return answers.find((answer) => answer !== undefined);
  }
}

/** Networks that every worker has one of. */
export function isPredefined(kind: PlacedKind, name: string): boolean {
  return kind === 'network' && ['bridge', 'host', 'none', 'default'].includes(name);
}
