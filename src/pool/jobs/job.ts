import type { JobState } from '#database/pool/jobs-schema.ts';
import type { TenantIdentity } from '../tenants/tenant-header.ts';

export type { JobState };

/** Whoever asks without saying for whom. */
export const DEFAULT_TENANT = 'default';

/** What somebody wants done once. */
export interface NewJob {
  readonly tenant: string;
  /** The tenant itself asks for it: it is done in its engines, and shown to it. Otherwise the pool's operator does. */
  readonly confined?: boolean | undefined;
  readonly name: string;
  /** Who understands the spec: `build`, `run`. */
  readonly kind: string;
  readonly spec: unknown;
  /** The digest of what a worker must offer; '' for any worker. */
  readonly requirement: string;
  /** Larger is sooner, whosever turn it is. */
  readonly priority: number;
  /** While a job of the tenant with the same key is unfinished, that one is meant. */
  readonly dedupKey?: string | undefined;
  /** How often it is tried when workers are lost, the first time included. */
  readonly maxAttempts: number;
  /** Milliseconds that an attempt may take. */
  readonly timeout: number;
  /** Milliseconds since 1970. */
  readonly notBefore?: number | undefined;
  readonly pipeline?: string | undefined;
  /** Public ids of jobs that have to succeed first. */
  readonly needs?: readonly string[] | undefined;
  /** The same for jobs whose caches serve each other: such go to the worker that was at the last one, if it has room. */
  readonly affinity?: string | undefined;
  /** The worker whose caches are warm, and for how many milliseconds it alone may have the job: instead of `affinity`. */
  readonly preference?: { readonly worker: string; readonly duration: number } | undefined;
}

/** Times are in milliseconds since 1970, by the database's clock. */
export interface Job {
  readonly id: string;
  readonly tenant: string;
  readonly confined: boolean;
  readonly pipeline: string | null;
  readonly name: string;
  readonly kind: string;
  readonly spec: unknown;
  readonly priority: number;
  readonly state: JobState;
  /** How often it was claimed. */
  readonly attempt: number;
  readonly worker: string | null;
  readonly cancelReason: string | null;
  readonly result: unknown;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

/** A worker as of one of its leases. */
export interface Claimant {
  readonly worker: string;
  readonly epoch: number;
}

/** The right to do a job, for as long as nobody has it with a larger attempt. */
export interface Claim {
  readonly id: string;
  readonly attempt: number;
}

export interface ClaimedJob extends Claim {
  readonly tenant: string;
  /** Of a confined job with `CONFINED` before it: a worker that does not know of such does none. */
  readonly kind: string;
  readonly spec: unknown;
  readonly timeout: number;
  /** Whose it is, if it is confined, and what they may. */
  readonly confinedTo?: TenantIdentity | undefined;
}

/** A claim as the pool knows it. */
export interface HeldClaim extends Claim {
  /** Why it is to end, if somebody wants that. */
  readonly cancelReason: string | null;
}

export const FINISHED: readonly JobState[] = ['succeeded', 'failed', 'canceled', 'skipped'];

export const CONFINED = 'tenant-';
