import type { Generated } from 'kysely';

export interface BuildingSchema {
  build_turns: BuildTurnsTable;
  build_turns_lock: BuildTurnsLockTable;
  build_projects: BuildProjectsTable;
  session_projects: SessionProjectsTable;
  worker_contents: WorkerContentsTable;
  scale_calls: ScaleCallsTable;
  step_claims: StepClaimsTable;
}

/** One row: what whoever scales the pool was told last. */
interface ScaleCallsTable {
  id: number;
  /** When a gateway may tell something again, of the database's clock. */
  due_at: number;
  desired: number | null;
  /** Whether anything waited then. */
  waited: number;
}

/** Builds whose clients wait for them: those that wait for a worker, and those that have one. */
interface BuildTurnsTable {
  id: Generated<number>;
  /** '' for the pool's operator. */
  tenant: string;
  /** What builds of one context have in common; '' where nothing is known of it. */
  project: string;
  /** Of its client; null for a build without one. */
  session: string | null;
  /** JSON: what else says where it should go; see `BuildWish`. */
  wish: string;
  /** The name of the worker; null while it waits for one. */
  worker: string | null;
  /** Whether it is let in however many there are: one that another waits for. */
  exempt: number;
  /** When its gateway last said that the client is still there. */
  seen_at: number;
  created_at: number;
}

/** One row, which whoever gives workers away holds: gateways do so one after the other. */
interface BuildTurnsLockTable {
  id: number;
  rounds: number;
}

/** Where projects were built: those workers' caches are warm. */
interface BuildProjectsTable {
  tenant: string;
  project: string;
  worker: string;
  built_at: number;
}

/** What the sessions of clients are for, as far as those say. */
interface SessionProjectsTable {
  tenant: string;
  session: string;
  project: string;
  created_at: number;
}

/** What images a worker has, as it said last. */
interface WorkerContentsTable {
  worker: string;
  tenant: string;
  /** Grows with each change: who read before it does not overwrite it. */
  version: number;
  /** JSON: `WorkerContent`. */
  content: string;
}

/** Steps of builds that a worker does, or has just done, so that no other one does them too. */
interface StepClaimsTable {
  /** Which cache it is shared in, and its key there. */
  scope: string;
  key: string;
  /** Whose it is, as long as this is its lease. */
  worker: string;
  epoch: number;
  /** Which try it is. */
  attempt: string;
  /** Whether somebody waits for it. */
  wanted: number;
  claimed_at: number;
  /** When it was done, though others may not find it yet. */
  finished_at: number | null;
  /** The row stays for a while: whoever looked for the step before does so again, then. */
  ended_at: number | null;
  outcome: 'done' | 'left' | 'failed' | null;
}
