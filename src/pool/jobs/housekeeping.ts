import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Hooks } from '../hooks/hooks.ts';
import type { Triggers } from '../triggers/triggers.ts';
import type { WorkerLeasesRepository } from '../workers/worker-leases-repository.ts';
import type { JobChangesRepository } from './changes-repository.ts';
import type { ClaimsRepository } from './claims-repository.ts';
import type { Contexts } from './contexts.ts';
import type { DueRepository } from './due-repository.ts';
import type { JobLogs } from './job-logs.ts';
import type { Publisher } from './publisher.ts';
import type { Summons } from './summons.ts';

interface Ports {
  readonly leases: WorkerLeasesRepository;
  readonly claims: ClaimsRepository;
  readonly due: DueRepository;
  readonly changes: JobChangesRepository;
  readonly publisher: Publisher;
  readonly logs: JobLogs;
  readonly contexts: Contexts;
  readonly triggers: Triggers;
  readonly hooks: Hooks;
  readonly summons: Pick<Summons, 'queued'>;
  readonly log: Logger;
}

interface Options {
  /** Milliseconds for which jobs are remembered that are over. */
  readonly keep: number;
  /** And what clients have sent, since it was used last. */
  readonly keepContexts: number;
}

/** In milliseconds. */
const TICK = 1_000;
const RARELY = 60_000;
const BATCH = 500;

/** What somebody has to do from time to time; any number of processes may, and none needs to. */
export class Housekeeping implements AsyncDisposable {
  readonly #ports: Ports;
  readonly #options: Options;
  #cleaned = 0;
  readonly #stopping = new AbortController();
  readonly #running: Promise<unknown>;

  constructor(ports: Ports, options: Options) {
    this.#ports = ports;
    this.#options = options;
    // What others answer slowly holds up nothing of the pool's own.
    this.#running = Promise.all([
      this.#each(() => this.#tick()),
      this.#each(() => ports.triggers.fireDue(this.#stopping.signal)),
      this.#each(() => ports.triggers.lookAtImages(this.#stopping.signal)),
      this.#each(() => ports.hooks.deliver(this.#stopping.signal)),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #each(task: () => Promise<unknown>): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await task();
      } catch (error) {
        if (!signal.aborted) this.#ports.log.warn({ err: error }, 'the housekeeping of jobs failed');
      }
      await sleep(TICK, undefined, { signal }).catch(() => undefined);
    }
  }

  /** What jobs wait for. */
  async #tick(): Promise<void> {
    const { leases, claims, due, publisher, summons, log } = this.#ports;
    for (const { worker, epoch } of await leases.expire((trx, lost) => claims.release(trx, lost))) {
      log.warn({ worker, epoch }, 'a worker was lost: others do its jobs');
    }
    await claims.releaseOrphans();
    if ((await due.release()) > 0) summons.queued();
    await publisher.resume();
    if (Date.now() - this.#cleaned < RARELY) return;
    this.#cleaned = Date.now();
    await this.#clean();
  }

  async #clean(): Promise<void> {
    const { changes, logs, contexts, due, triggers } = this.#ports;
    await due.admitHeld();
    for (let count = BATCH; count === BATCH; ) {
      const removed = await changes.removeOld(Date.now() - this.#options.keep, BATCH);
      await logs.forget(removed.locations);
      count = removed.count;
    }
    await contexts.removeUnused(Date.now() - this.#options.keepContexts);
    await triggers.forgetEvents();
  }
}
