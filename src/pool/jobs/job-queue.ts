import type { Claim, Claimant, ClaimedJob, HeldClaim } from './job.ts';
import type { Waiter } from './summons.ts';

/** What a job made: by its digest it is there already, and these names are to mean it. */
export interface Publication {
  /** `127.0.0.1:5000/team/app` */
  readonly repository: string;
  readonly digest: string;
  readonly tags: readonly string[];
}

/** How an attempt at a job came to its end. */
export interface Outcome {
  readonly state: 'succeeded' | 'failed' | 'canceled';
  /** For whoever asked: any JSON. */
  readonly result: Readonly<Record<string, unknown>>;
  /** Names that are given only if the claim is still good, and all at the job's end. */
  readonly publications: readonly Publication[];
}

/**
 * The queue as a worker's agent sees it. A claim is good for as long as the claimant's lease: what is said in the name of
 * one that is not answers false and changes nothing, and the agent stops what it does for it. All may throw `unavailable`,
 * and then may be said again: saying the same twice has the effect of once.
 */
export interface JobQueue {
  /** Takes up to `limit` jobs, the best first. */
  claim(claimant: Claimant, limit: number): Promise<ClaimedJob[]>;

  /** The claimant's good claims: what is not among them is not to be gone on with. */
  held(claimant: Claimant): Promise<HeldClaim[]>;

  /** How long the log of a claim's job is by now, with what earlier attempts wrote. */
  logSize(claim: Claim): Promise<number>;

  /** Adds bytes at `start`, the log's end. */
  log(claim: Claim, claimant: Claimant, start: number, bytes: Uint8Array): Promise<boolean>;

  /** Ends an attempt, and with it the job. Throws `forbidden` for names that the job did not ask for. */
  end(claim: Claim, claimant: Claimant, outcome: Outcome): Promise<boolean>;

  /** Has it tried again, here or elsewhere, after a pause: what failed is not the job. */
  giveBack(claim: Claim, claimant: Claimant, reason: string): Promise<boolean>;

  /** An archive that a client has sent, from a byte on, for a job that the claimant is at. Throws `not-found`. */
  openContext(
    claim: Claim,
    claimant: Claimant,
    digest: string,
    start?: number,
  ): Promise<AsyncIterable<Uint8Array>>;

  /** Resolves when there may be something new for this worker to claim, or to end; at the latest after `patience` milliseconds. */
  news(waiter: Waiter, patience: number, signal: AbortSignal): Promise<void>;
}
