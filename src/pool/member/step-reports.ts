import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { Wakes } from '#async/wakes.ts';
import type { Claimant } from '../jobs/job.ts';
import { MAX_REPORTED, type StepEnd } from '../steps/step-claims-repository.ts';

/** What is needed of a worker's place in its pool. */
export interface PoolLink {
  /** The lease; undefined while there is none. */
  readonly claimant: Claimant | undefined;
  /** Asks as of the lease. Throws what the pool says, `unavailable`. */
  ask(method: 'POST', path: string, body: unknown): Promise<unknown>;
}

/** Milliseconds after which it is asked again whether somebody waits. */
const LOOK = 500;
const RETRY = 1_000;

const answer = z.object({ wanted: z.array(z.string()) });

/**
 * Tells the pool what becomes of this worker's claims, many at a time: one report is under way, and what comes meanwhile is
 * in the next one. What was claimed with an earlier lease is over by itself.
 */
export class StepReports {
  readonly #pool: PoolLink;
  readonly #finished = new Map<string, { readonly epoch: number; readonly hurry: () => void }>();
  readonly #ended = new Map<string, { readonly epoch: number; readonly outcome: StepEnd }>();
  readonly #news = new Wakes();
  #running: Promise<void> | undefined;

  constructor(pool: PoolLink) {
    this.#pool = pool;
  }

  /** It is done. Until it is ended, `hurry` hears when somebody waits for it. */
  finish(attempt: string, epoch: number, hurry: () => void): void {
    this.#finished.set(attempt, { epoch, hurry });
    this.#stir();
  }

  end(attempt: string, epoch: number, outcome: StepEnd): void {
    this.#finished.delete(attempt);
    this.#ended.set(attempt, { epoch, outcome });
    this.#stir();
  }

  #stir(): void {
    this.#news.wake();
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#ended.size > 0) this.#stir();
    });
  }

  async #run(): Promise<void> {
    const { signal } = new AbortController();
    for (;;) {
      this.#forget(this.#pool.claimant?.epoch);
      const seen = this.#news.now;
      const ended = [...this.#ended].slice(0, MAX_REPORTED);
      const finished = [...this.#finished.keys()].slice(0, MAX_REPORTED);
      if (ended.length + finished.length === 0) return;
      try {
        await this.#tell(finished, ended);
        if (this.#ended.size === 0) await this.#news.after(seen, LOOK, signal);
      } catch {
        await sleep(RETRY, undefined, { ref: false });
      }
    }
  }

  async #tell(finished: string[], ended: [string, { outcome: StepEnd }][]): Promise<void> {
    const report = { finished, ended: ended.map(([attempt, { outcome }]) => ({ attempt, outcome })) };
    const { wanted } = answer.parse(await this.#pool.ask('POST', '/steps/report', report));
    for (const [attempt] of ended) this.#ended.delete(attempt);
    for (const attempt of wanted) {
      this.#finished.get(attempt)?.hurry();
      this.#finished.delete(attempt);
    }
  }

  #forget(epoch: number | undefined): void {
    for (const claims of [this.#finished, this.#ended]) {
      for (const [attempt, claim] of claims) if (claim.epoch !== epoch) claims.delete(attempt);
    }
  }
}
