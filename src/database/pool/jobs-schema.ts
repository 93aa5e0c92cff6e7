import type { Generated } from 'kysely';

export interface JobsSchema {
  tenants: TenantsTable;
  jobs: JobsTable;
  job_needs: JobNeedsTable;
  job_log_chunks: JobLogChunksTable;
  job_contexts: JobContextsTable;
}

/** Who may use the pool, and what share of it is theirs. */
interface TenantsTable {
  name: string;
  /** Of two tenants with work that waits, one of weight 2 gets two starts for each of the other's. */
  weight: Generated<number>;
  /** How many of its jobs may run at once; null for any number. */
  max_running: number | null;
  /** Where the next job's turn is at the earliest; see `Turns`. */
  next_turn: Generated<number>;
  /** When it was removed; what its jobs were is remembered for a while. */
  removed_at: Generated<number | null>;
  /** Of those who had the name one after the other: as of `TenantIdentity`. */
  generation: Generated<number>;
}

/**
 * - `blocked`: needs others that have not succeeded yet
 * - `delayed`: not before `due_at`
 * - `held`: its tenant has as many at work as it may
 * - `queued`: for the next worker that can
 * - `running`: with `worker`, as its attempt number `attempt`
 * - `publishing`: done, and what it made is being given its names: no worker is needed any more
 * - and four ends
 */
export type JobState =
  | 'blocked'
  | 'delayed'
  | 'held'
  | 'queued'
  | 'running'
  | 'publishing'
  | 'succeeded'
  | 'failed'
  | 'canceled'
  | 'skipped';

interface JobsTable {
  /** Ascends with time; what one transaction adds may become visible out of order. */
  id: Generated<number>;
  /** What the API calls it. */
  public_id: string;
  tenant: string;
  pipeline: string | null;
  name: string;
  kind: string;
  /** JSON, for the kind to understand. */
  spec: string;
  /** The digest of what a worker must offer; '' for any worker. */
  requirement: string;
  /** Larger is sooner; above all turns. */
  priority: number;
  turn: number;
  state: JobState;
  dedup_key: string | null;
  /** The number of the claim that holds it, or that held it last: what fences off earlier ones. */
  attempt: number;
  max_attempts: number;
  /** When it may start; of one that is publishing, when another process may go on with that. */
  due_at: number | null;
  /** Milliseconds that an attempt may take. */
  timeout: number;
  /** The same for jobs whose caches serve each other; null for those that have none. */
  affinity: string | null;
  /** The worker whose caches are warm; others may have it from `preferred_until` on. */
  preferred_worker: string | null;
  preferred_until: number | null;
  worker: string | null;
  worker_epoch: number | null;
  cancel_reason: string | null;
  /** JSON, of the end: exit code, digests, or an error. */
  result: string | null;
  created_at: number;
  started_at: number | null;
  finished_at: number | null;
  /** How many jobs need this one: what has none ends without a look at others. */
  dependents: Generated<number>;
  /** 1: a client of the tenant has asked for it, and it is done as that tenant; 0: the pool's operator has, for whomever. */
  confined: Generated<number>;
}

interface JobNeedsTable {
  job_id: number;
  needs_id: number;
}

/** What a job has written, in pieces: the newest are here, and what has come together is in the content store. */
interface JobLogChunksTable {
  job_id: number;
  /** How many bytes of the log are before it. */
  start: number;
  size: number;
  data: Uint8Array | null;
  location: string | null;
}

/** Archives that clients have sent, for builds to come. */
interface JobContextsTable {
  digest: string;
  tenant: string;
  size: number;
  location: string;
  used_at: number;
}
