import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { notFound, unavailable } from '#errors/errors.ts';
import type { BuildHomesRepository } from './build-homes-repository.ts';
import type { LivingWorker, Workers } from './workers.ts';

/** How much busier than the idlest a worker may be and still get a build whose caches it has, in sessions. */
const SLACK = 2;
/** Clients ask for a build's progress at the moment that they ask for the build. */
const PATIENCE = 10_000;
const LOOK = 25;

/** The worker of each build: that of the session of its client, whichever gateway hears of it. */
export class BuildHomes {
  readonly #homes: BuildHomesRepository;
  readonly #workers: Workers;

  constructor(ports: { homes: BuildHomesRepository; workers: Workers }) {
    this.#homes = ports.homes;
    this.#workers = ports.workers;
  }

  /**
   * The worker of a session, now and from now on. `project` is what builds of one context have in common: its builds go
   * to the same worker, whose caches are warm, unless that has much more to do than others.
   */
  async ofSession(id: string, project = ''): Promise<LivingWorker> {
    const known = await this.#homes.workerOf('session', id);
    if (known) return await this.#workers.named(known);
    const chosen = await this.choose(project || id);
    return await this.#workers.named(await this.#homes.keep('session', id, chosen.name));
  }

  /** For a build without a session. */
  async choose(project: string): Promise<LivingWorker> {
    const ready = (await this.#workers.some()).filter(({ state }) => state === 'ready');
    if (ready.length === 0) throw unavailable('no worker of the pool takes builds: all are being drained');
    const counts = await this.#homes.sessions();
    const load = ({ name }: LivingWorker) => counts.get(name) ?? 0;
    const least = Math.min(...ready.map(load));
    const open = ready.filter((worker) => load(worker) <= least + SLACK);
    return open.toSorted((a, b) => (weight(project, a.name) < weight(project, b.name) ? 1 : -1))[0]!;
  }

  /** A session is over. */
  async end(id: string): Promise<void> {
    await this.#homes.end('session', id);
  }

  async noteBuild(reference: string, worker: LivingWorker): Promise<void> {
    await this.#homes.keep('build', reference, worker.name);
  }

  /** Waits a little for a build that is about to be asked for. Throws `not-found`. */
  async ofBuild(reference: string): Promise<LivingWorker> {
    for (let waited = 0; waited < PATIENCE; waited += LOOK) {
      const worker = await this.#homes.workerOf('build', reference);
      if (worker) return await this.#workers.named(worker);
      await sleep(LOOK);
    }
    throw notFound(`no such build ${reference}`);
  }
}

/** Each project has an order of workers of its own, which workers that come or go do not change otherwise. */
function weight(project: string, worker: string): string {
  return createHash('sha256').update(`${project}\0${worker}`).digest('hex');
}
