import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isKind, messageOf } from '#errors/errors.ts';
import type { Claimant, ClaimedJob } from '../jobs/job.ts';
import type { JobQueue } from '../jobs/job-queue.ts';
import type { Waiter } from '../jobs/summons.ts';
import { AttemptUnderWay } from './attempt.ts';
import type { JobRunner } from './job-runner.ts';

interface Ports {
  readonly queue: JobQueue;
  /** By the kind of job. */
  readonly runners: ReadonlyMap<string, JobRunner>;
  /** The worker's lease as it is now; undefined while it has none. */
  readonly claimant: () => Claimant | undefined;
  readonly log: Logger;
}

interface Options {
  /** Jobs that run at once. */
  readonly slots: number;
  /** Of a job's log; what is longer is not kept. */
  readonly maxLogBytes: number;
}

/** Milliseconds after which the queue is asked, though nobody has said that there is news. */
const PATIENCE = 2_000;
/** And after which it is asked what this worker is at. */
const DOUBT = 15_000;
const NEVER = Number.NEGATIVE_INFINITY;
/** And after which a queue that could not be asked is asked again. */
const PAUSE = 1_000;

/** Does jobs of the pool on this worker: takes as many as it has room for, and ends those that it is to end. */
export class Agent implements AsyncDisposable {
  readonly #ports: Ports;
  readonly #options: Options;
  readonly #stopping = new AbortController();
  readonly #leaving = new AbortController();
  readonly #attempts = new Map<string, AttemptUnderWay>();
  readonly #running: Promise<void>;
  /** Aborts when an attempt was over since the last look. */
  #room = new AbortController();
  #hasRoom = false;
  /** When what the pool thinks that this worker is at was last compared with what it is. */
  #compared = NEVER;

  constructor(ports: Ports, options: Options) {
    this.#ports = ports;
    this.#options = options;
    this.#running = this.#run();
  }

  /** What runs now. */
  get count(): number {
    return this.#attempts.size;
  }

  /** Takes nothing new; resolves when what runs is over. */
  async drain(): Promise<void> {
    this.#leaving.abort();
    while (this.#attempts.size > 0) await Promise.all([...this.#attempts.values()].map(({ over }) => over));
  }

  /** Gives back what runs, for others to do. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#leaving.abort();
    this.#stopping.abort();
    // What was being claimed is begun first, and then given back too.
    await this.#running;
    for (const attempt of this.#attempts.values()) attempt.stop({ kind: 'stopping' });
    await Promise.all([...this.#attempts.values()].map(({ over }) => over));
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#look();
        this.#room = new AbortController();
        const room = AbortSignal.any([signal, this.#room.signal]);
        if (!this.#hasRoom) await this.#ports.queue.news(this.#waiter(), PATIENCE, room);
        this.#hasRoom = false;
      } catch (error) {
        if (signal.aborted) return;
        this.#ports.log.warn({ err: error }, 'the queue of jobs cannot be asked');
        await sleep(PAUSE, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #look(): Promise<void> {
    const claimant = this.#ports.claimant();
    for (const attempt of this.#attempts.values()) {
      if (!sameLease(attempt.claimant, claimant)) attempt.stop({ kind: 'lost' });
    }
    if (!claimant) return;
    if (this.#attempts.size > 0 || performance.now() - this.#compared > DOUBT) await this.#compare(claimant);
    if (this.#free === 0) return;
    for (const job of await this.#claim(claimant, this.#free)) this.#begin(job, claimant);
  }

  /** Jobs that it could take. */
  get #free(): number {
    return this.#leaving.signal.aborted ? 0 : Math.max(0, this.#options.slots - this.#attempts.size);
  }

  #waiter(): Waiter {
    return { claimant: this.#ports.claimant(), free: this.#free };
  }

  async #claim(claimant: Claimant, limit: number): Promise<ClaimedJob[]> {
    try {
      return await this.#ports.queue.claim(claimant, limit);
    } catch (error) {
      // Jobs may have been claimed all the same, and only the answer was lost.
      this.#compared = NEVER;
      throw error;
    }
  }

  /** Ends what somebody canceled, or the pool has taken away; gives back what it thinks that this worker is at. */
  async #compare(claimant: Claimant): Promise<void> {
    const { queue } = this.#ports;
    const before = new Map(this.#attempts);
    this.#compared = NEVER;
    const held = new Map((await queue.held(claimant)).map((claim) => [keyOf(claim), claim]));
    for (const [key, attempt] of before) {
      const claim = held.get(key);
      if (!claim) attempt.stop({ kind: 'lost' });
      else if (claim.cancelReason !== null) attempt.stop({ kind: 'canceled', reason: claim.cancelReason });
    }
    // A claim that a gateway came to late, say: what is claimed in time is begun before the next comparison.
    for (const [key, claim] of held) {
      if (!before.has(key)) await queue.giveBack(claim, claimant, 'its worker lost touch with the pool');
    }
    this.#compared = performance.now();
  }

  #begin(job: ClaimedJob, claimant: Claimant): void {
    const key = keyOf(job);
    const { queue, runners, log } = this.#ports;
    const attempt = new AttemptUnderWay(
      { queue, runner: runners.get(job.kind), report: (error) => report(log, job, error) },
      { job, claimant, maxLogBytes: this.#options.maxLogBytes },
    );
    this.#attempts.set(key, attempt);
    void attempt.over.then((isKnown) => {
      this.#attempts.delete(key);
      if (attempt.isLost) {
        const { id, attempt: number } = job;
        log.warn({ job: id, attempt: number }, `job ${id} is another's: what came of it here is thrown away`);
      }
      if (!isKnown) this.#compared = NEVER;
      this.#hasRoom = true;
      this.#room.abort();
    });
  }
}

function report(log: Logger, { id, attempt }: ClaimedJob, error: unknown): void {
  if (isKind(error, 'canceled')) return;
  log.warn({ err: error, job: id, attempt }, `job ${id}: ${messageOf(error)}`);
}

function keyOf({ id, attempt }: { id: string; attempt: number }): string {
  return `${id} ${attempt}`;
}

function sameLease(one: Claimant, other: Claimant | undefined): boolean {
  return one.worker === other?.worker && one.epoch === other.epoch;
}
