/** What the simulated pool is asked for: all of it follows from the seed. */
export interface WorldOptions {
  readonly workers: number;
  readonly slots: number;
  readonly jobsADay: number;
  readonly tenants: number;
  readonly projects: number;
  /** Projects that a worker's caches hold. */
  readonly cacheSize: number;
}

export interface SimulatedJob {
  readonly tenant: string;
  readonly project: string;
  readonly kind: 'build' | 'run';
  /** Of every tenth: only some workers can. */
  readonly platform: string | undefined;
  /** How much larger than usual it is. */
  readonly size: number;
}

/** In milliseconds, of a usual one. */
const COLD_BUILD = 240_000;
const WARM_BUILD = 80_000;
const RUN = 60_000;

const DAY = 86_400_000;

/** Jobs a millisecond at a time of the day: by day three times as many as by night. */
export function rateAt({ jobsADay }: WorldOptions, moment: number): number {
  const mean = jobsADay / DAY;
  return mean * (1 + 0.5 * Math.sin(((moment % DAY) / DAY) * 2 * Math.PI - Math.PI / 2));
}

export function jobAt({ tenants, projects }: WorldOptions, random: () => number): SimulatedJob {
  const project = zipf(projects, random);
  const spread = Math.exp(0.6 * normal(random));
  return {
    // A project is one tenant's, and few tenants have most of the work.
    tenant: `tenant-${project % tenants}`,
    project: `project-${project}`,
    kind: random() < 0.6 ? 'build' : 'run',
    platform: random() < 0.1 ? 'linux/arm64' : undefined,
    size: spread,
  };
}

export function durationOf({ kind, size }: SimulatedJob, isWarm: boolean): number {
  const usual = kind === 'run' ? RUN : isWarm ? WARM_BUILD : COLD_BUILD;
  return usual * size;
}

/** 0 to below `count`, the small ones more often: the n-th as often as 1 / n. */
function zipf(count: number, random: () => number): number {
  return Math.min(count - 1, Math.floor(Math.exp(random() * Math.log(count + 1))) - 1);
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
