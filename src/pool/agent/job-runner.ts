import type { ClaimedJob } from '../jobs/job.ts';
import type { Publication } from '../jobs/job-queue.ts';

/** What an attempt at a job is given. */
export interface Attempt {
  readonly job: ClaimedJob;
  /** Takes what the job writes; resolves when it may write more. */
  log(bytes: Uint8Array | string): Promise<void>;
  /** Aborts when it is to end: canceled, out of time, or not this worker's any more. */
  readonly signal: AbortSignal;
  /** An archive that a client has sent. Throws `not-found`. */
  openContext(digest: string): Promise<AsyncIterable<Uint8Array>>;
}

export interface Made {
  readonly result: Readonly<Record<string, unknown>>;
  readonly publications: readonly Publication[];
}

/**
 * PORT: does jobs of one kind. Throws `JobFailure` when the job itself is to blame; whatever else it throws is a failure of
 * what jobs stand on, after which it is tried again.
 */
export interface JobRunner {
  run(attempt: Attempt): Promise<Made>;
}

/** A job did not do what it was to do, and would not another time. */
export class JobFailure extends Error {
  override readonly name = 'JobFailure';
  readonly result: Readonly<Record<string, unknown>>;

  constructor(message: string, result: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.result = result;
  }
}
