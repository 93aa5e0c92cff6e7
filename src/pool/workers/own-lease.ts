import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Claimant } from '../jobs/job.ts';
import type { WorkerLeasesRepository, WorkerOffer } from './worker-leases-repository.ts';

interface Ports {
  readonly leases: WorkerLeasesRepository;
  /** Has what an earlier lease of the worker was at done again. */
  readonly release: (lost: Claimant) => Promise<unknown>;
  readonly log: Logger;
}

interface Options {
  readonly worker: { readonly name: string; readonly address: string; readonly offer: WorkerOffer };
  /** In milliseconds. */
  readonly duration: number;
}

/** So many heartbeats a lease. */
const BEATS = 4;

/** The lease of a worker that has the pool's database itself: a pool of one machine. */
export class OwnLease implements AsyncDisposable {
  readonly #ports: Ports;
  readonly #options: Options;
  readonly #stopping = new AbortController();
  #claimant: Claimant | undefined;
  /** By this process's clock, when the lease is over unless it is renewed. */
  #until = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(ports: Ports, options: Options) {
    this.#ports = ports;
    this.#options = options;
  }

  /** Undefined once it may have been taken away. */
  get claimant(): Claimant | undefined {
    return performance.now() < this.#until ? this.#claimant : undefined;
  }

  async start(): Promise<void> {
    await this.#acquire();
    this.#running = this.#keep();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #acquire(): Promise<void> {
    const { worker, duration } = this.#options;
    const began = performance.now();
    const claimant = await this.#ports.leases.acquire(worker, duration);
    await this.#ports.release({ ...claimant, epoch: claimant.epoch - 1 });
    this.#claimant = claimant;
    this.#until = began + duration;
  }

  async #keep(): Promise<void> {
    const { signal } = this.#stopping;
    const { duration } = this.#options;
    while (!signal.aborted) {
      await sleep(duration / BEATS, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const began = performance.now();
        if (await this.#ports.leases.renew(this.#claimant!, duration)) this.#until = began + duration;
        else {
          this.#until = 0;
          this.#ports.log.warn('the pool has given up this worker: it begins anew');
          await this.#acquire();
        }
      } catch (error) {
        this.#ports.log.warn({ err: error }, 'the lease of this worker could not be renewed');
      }
    }
  }
}
