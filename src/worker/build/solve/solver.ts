import type { CacheStore } from '../cache/cache-store.ts';
import type { BuildSession } from '../session/build-session.ts';
import { FairSlots } from './fair-slots.ts';
import { Flights } from './flights.ts';
import type { MissListener } from './missed-step.ts';
import type { NativeSteps } from './native-steps.ts';
import type { BuildLimits, CacheMap } from './op-driver.ts';
import type { OpDrivers } from './op-drivers.ts';
import type { ProgressSink } from './progress.ts';
import type { Ref } from './ref.ts';
import { SolveJob } from './solve-job.ts';
import type { StepClaims } from './step-claims.ts';

/** What all the builds of a worker share: what is under way, the cache, and how many steps run at once. */
export interface SolverParts {
  readonly drivers: OpDrivers;
  readonly cache: CacheStore;
  readonly slots: FairSlots;
  /** Agrees with other workers that share the cache; undefined: there are none. */
  readonly claims?: StepClaims | undefined;
  /** Workers that run what this machine does not; undefined: there are none. */
  readonly natives?: NativeSteps | undefined;
  /** Sources being identified. */
  readonly maps: Flights<CacheMap>;
  /** Steps being done, and sources being fetched. */
  readonly steps: Flights<readonly Ref[]>;
}

/** What one build brings along. */
export interface JobOptions {
  /** Steps of different owners take turns. */
  readonly owner: string;
  readonly session: BuildSession;
  readonly progress: ProgressSink;
  readonly limits: BuildLimits;
  readonly signal: AbortSignal;
  readonly misses?: MissListener;
}

/** Solves the graphs of all builds of a worker: what two of them want at once is done once. */
export class Solver {
  readonly #parts: SolverParts;

  /** `parallelism`: how many steps run at once; sources do not count. */
  constructor(
    ports: Pick<SolverParts, 'drivers' | 'cache' | 'claims' | 'natives'>,
    options: { parallelism: number },
  ) {
    this.#parts = {
      ...ports,
      slots: new FairSlots(options.parallelism),
      maps: new Flights(),
      steps: new Flights(),
    };
  }

  /** Whether a step of any build runs. */
  isBusy(): boolean {
    return this.#parts.slots.taken > 0;
  }

  /** Close it when its refs are not needed any more. */
  job(options: JobOptions): SolveJob {
    return new SolveJob(this.#parts, options);
  }
}
