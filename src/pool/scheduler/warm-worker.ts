/** What is known of the worker that did the like of a job last. */
export interface WarmWorker {
  readonly worker: string;
  readonly cpus: number;
  /** Jobs that it is at. */
  readonly running: number;
}

/**
 * Milliseconds for which a job is kept for the worker whose caches are warm: about what they save. Others look every two
 * seconds, and when they have done something.
 */
const PATIENCE = 3_000;

/** Who alone may have a job at first, and for how long; undefined for whoever comes. */
export function preferenceFor(
  warm: WarmWorker | undefined,
): { readonly worker: string; readonly duration: number } | undefined {
  // As many as a worker does at once unless it was told otherwise: one that is full is not waited for.
  if (!warm || warm.running >= Math.max(2, warm.cpus)) return undefined;
  return { worker: warm.worker, duration: PATIENCE };
}
