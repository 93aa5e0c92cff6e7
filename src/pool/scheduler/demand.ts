/** What a pool has to do, and with what. */
export interface PoolDemand {
  /** Builds of clients that wait for a worker, and jobs that could begin. */
  readonly waiting: { readonly builds: number; readonly jobs: number };
  readonly running: { readonly builds: number; readonly jobs: number };
  /** For how many seconds the oldest of them has waited. */
  readonly oldest: { readonly builds: number; readonly jobs: number };
  readonly workers: { readonly ready: number; readonly draining: number; readonly lost: number };
}

export interface ScaleLimits {
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** Builds and jobs that one worker is to do at once. */
  readonly perWorker: number;
}

/** How many workers would do: for what runs and what waits, within the limits. */
export function desiredWorkers({ waiting, running }: PoolDemand, limits: ScaleLimits): number {
  const work = waiting.builds + waiting.jobs + running.builds + running.jobs;
  const needed = Math.ceil(work / limits.perWorker);
  return Math.min(Math.max(needed, limits.minWorkers), limits.maxWorkers);
}
