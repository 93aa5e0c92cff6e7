import { setTimeout as sleep } from 'node:timers/promises';
import { isKind, messageOf } from '#errors/errors.ts';
import type { Claimant, ClaimedJob } from '../jobs/job.ts';
import type { JobQueue, Outcome } from '../jobs/job-queue.ts';
import { JobFailure, type JobRunner } from './job-runner.ts';
import { LogWriter } from './log-writer.ts';

/** Why an attempt is to end before it is done. */
export type StopReason =
  | { readonly kind: 'canceled'; readonly reason: string }
  | { readonly kind: 'timeout' }
  /** Somebody else has the job by now, or will. */
  | { readonly kind: 'lost' }
  /** The worker stops. */
  | { readonly kind: 'stopping' };

interface Ports {
  readonly queue: JobQueue;
  /** Undefined: this worker does not know such jobs. */
  readonly runner: JobRunner | undefined;
  readonly report: (error: unknown) => void;
}

/** How often it is tried to tell the pool of the end, and the pauses between, in milliseconds: a lease runs out meanwhile. */
const TRIES = 60;
const PAUSE = 500;

/** One attempt at a job, from the claim to what the pool is told of its end. */
export class AttemptUnderWay {
  readonly claimant: Claimant;
  /** Resolves when it is over, whatever came of it: to whether the pool knows. */
  readonly over: Promise<boolean>;
  readonly #ports: Ports;
  readonly #job: ClaimedJob;
  readonly #log: LogWriter;
  readonly #stopping = new AbortController();
  #reason: StopReason | undefined;

  constructor(ports: Ports, options: { job: ClaimedJob; claimant: Claimant; maxLogBytes: number }) {
    this.#ports = ports;
    this.#job = options.job;
    this.claimant = options.claimant;
    this.#log = new LogWriter(
      { queue: ports.queue, lost: () => this.stop({ kind: 'lost' }) },
      { claim: options.job, claimant: options.claimant, maxBytes: options.maxLogBytes },
    );
    this.over = this.#run().catch((error: unknown) => {
      ports.report(error);
      return false;
    });
  }

  /** Ends it. The first reason counts, but nothing is said in the name of a claim that is lost. */
  stop(reason: StopReason): void {
    if (this.#reason === undefined || reason.kind === 'lost') this.#reason = reason;
    this.#stopping.abort();
  }

  /** Somebody else has the job, or will: what comes of this attempt counts for nothing. */
  get isLost(): boolean {
    return this.#reason?.kind === 'lost';
  }

  async #run(): Promise<boolean> {
    const deadline = setTimeout(() => this.stop({ kind: 'timeout' }), timerOf(this.#job.timeout));
    let told: Outcome | { readonly again: string };
    try {
      await this.#log.begin();
      told = await this.#outcome();
    } catch (error) {
      told = { again: messageOf(error) };
    } finally {
      clearTimeout(deadline);
    }
    if (this.isLost) return false;
    await this.#log.flush();
    if (this.isLost) return false;
    await this.#tell(told);
    return true;
  }

  async #outcome(): Promise<Outcome | { readonly again: string }> {
    const job = this.#job;
    const { runner, queue } = this.#ports;
    const log = (bytes: Uint8Array | string) => this.#log.write(bytes);
    if (!runner) return failed(`no worker knows jobs of kind ${job.kind}`);
    if (job.attempt > 1) await log(`[attempt ${job.attempt}]\n`);
    try {
      const { result, publications } = await runner.run({
        job,
        log,
        signal: this.#stopping.signal,
        openContext: (digest) => queue.openContext(job, this.claimant, digest),
      });
      return { state: 'succeeded', result, publications };
    } catch (error) {
      const reason = this.#reason;
      if (reason?.kind === 'canceled') return { ...failed(reason.reason), state: 'canceled' };
      if (reason?.kind === 'timeout') return failed(`it took longer than ${job.timeout / 1000} seconds`);
      if (reason?.kind === 'stopping') return { again: 'its worker was stopped' };
      if (error instanceof JobFailure) return failed(error.message, error.result);
      if (isKind(error, 'not-found') || isKind(error, 'invalid')) return failed(error.message);
      this.#ports.report(error);
      await log(`\n[the worker could not go on: ${messageOf(error)}]\n`);
      return { again: messageOf(error) };
    }
  }

  /** Says how it ended, until it is heard or the claim is not good any more. */
  async #tell(told: Outcome | { readonly again: string }): Promise<void> {
    const { queue } = this.#ports;
    for (let tries = 1; ; tries++) {
      try {
        if ('again' in told) await queue.giveBack(this.#job, this.claimant, told.again);
        else await queue.end(this.#job, this.claimant, told);
        return;
      } catch (error) {
        if (this.isLost || tries === TRIES) throw error;
        await sleep(PAUSE);
      }
    }
  }
}

function failed(error: string, result: Readonly<Record<string, unknown>> = {}): Outcome {
  return { state: 'failed', result: { ...result, error }, publications: [] };
}

/** What a timer can be set to. */
function timerOf(milliseconds: number): number {
  return Math.min(milliseconds, 2 ** 31 - 1);
}
