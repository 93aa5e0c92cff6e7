import type { Counter, Histogram, Metrics } from '#observability/metrics.ts';
import { type BuildRecord, type BuildState, type StepRecord, stateOf } from './build-record.ts';

/** From what a cached build takes to what somebody waits for overnight. */
const SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600] as const;

/** What became of a step: it was done, found in the cache, failed, or was left when the build ended. */
type StepOutcome = 'done' | 'cached' | 'failed' | 'canceled';

/** Counts the builds that have ended, and their steps. */
export class BuildMetrics {
  readonly #builds: Histogram<'outcome'>;
  readonly #steps: Counter<'outcome'>;

  constructor(metrics: Metrics) {
    this.#builds = metrics.histogram<'outcome'>({
      name: 'slipway_build_duration_seconds',
      help: 'Builds from when they were asked for to their end, by what became of them: completed, failed, canceled.',
      labels: ['outcome'],
      buckets: SECONDS,
    });
    this.#steps = metrics.counter<'outcome'>({
      name: 'slipway_build_steps_total',
      help: 'Steps of builds by what became of them: done, cached, failed, canceled.',
      labels: ['outcome'],
    });
  }

  ended(record: BuildRecord): void {
    const { createdAt, completedAt = new Date(), steps } = record;
    const outcome: BuildState = stateOf({ ...record, completedAt });
    this.#builds.observe({ outcome }, (completedAt.getTime() - createdAt.getTime()) / 1000);
    for (const step of steps) if (step.startedAt) this.#steps.add({ outcome: outcomeOf(step) });
  }
}

function outcomeOf({ cached, error, completed }: StepRecord): StepOutcome {
  if (error !== undefined) return 'failed';
  if (cached) return 'cached';
  return completed ? 'done' : 'canceled';
}
