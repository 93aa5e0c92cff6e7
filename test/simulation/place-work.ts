import { admit, type BuildTurn, type BuildWorker, type Warmth } from '#pool/scheduler/admit.ts';
import { type Candidate, place } from '#pool/scheduler/place.ts';
import { randomNumbers } from '../chaos/faults.ts';
import { Agenda } from './agenda.ts';
import { at, evenness, HOUR, type Policy, START } from './figures.ts';
import { durationOf, jobAt, rateAt, type SimulatedJob, type WorldOptions } from './world.ts';

export interface PlacementOptions extends WorldOptions {
  readonly policy: Policy;
  readonly seed: number;
  /** Of virtual time, from eleven in the morning. */
  readonly hours: number;
  /** Of these, the first ones that do not count. */
  readonly warmUp: number;
  /** Told how many virtual hours are over, after each. */
  readonly tell?: (hours: number) => void;
}

export interface PlacementResult {
  readonly policy: Policy;
  readonly builds: number;
  readonly containers: number;
  /** Seconds that builds waited for a worker. */
  readonly wait: { readonly p50: number; readonly p95: number; readonly p99: number };
  /** Of builds: how many found their project's caches. */
  readonly cacheHits: number;
  /** Of a container's image, the part that its worker had: 0 to 1. */
  readonly local: number;
  /** The standard deviation of how many builds, or containers, workers have, over the mean. */
  readonly uneven: { readonly builds: number; readonly containers: number };
  /** Microseconds of this machine for a decision. */
  readonly cost: number;
}

/** Images that projects stand on, and of an image the part that is its base's. */
const BASES = 100;
const BASE_PART = 0.6;
/** Milliseconds to fetch a whole image. */
const FETCH = 15_000;

interface SimulatedWorker {
  readonly name: string;
  readonly platforms: readonly string[];
  /** Projects whose caches and images it has, the newest last. */
  readonly projects: Set<string>;
  readonly bases: Set<string>;
  builds: number;
  containers: number;
}

interface Waiting extends BuildTurn {
  readonly job: SimulatedJob;
  readonly asked: number;
}

/**
 * What clients do at gateways themselves, `docker build` and `docker run`, in virtual time: who gets a build or a
 * container is decided by the pool's own code (`admit`, `place`), or by chance, or by load alone.
 */
export async function simulatePlacement(options: PlacementOptions): Promise<PlacementResult> {
  return await new Placement(options).run();
}

class Placement {
  readonly #options: PlacementOptions;
  readonly #agenda = new Agenda();
  readonly #random: () => number;
  readonly #workers: SimulatedWorker[];
  readonly #byName: ReadonlyMap<string, SimulatedWorker>;
  /** Builds that wait or are under way, by their ids. */
  readonly #turns = new Map<number, Waiting>();
  readonly #built = new Map<string, Map<string, number>>();
  readonly #waits: number[] = [];
  readonly #uneven = { builds: [] as number[], containers: [] as number[] };
  #next = 1;
  #waiting = 0;
  #builds = { count: 0, warm: 0 };
  #containers = { count: 0, local: 0 };
  #decisions = { count: 0, spent: 0 };

  constructor(options: PlacementOptions) {
    this.#options = options;
    this.#agenda.now = START;
    this.#random = randomNumbers(options.seed);
    this.#workers = Array.from({ length: options.workers }, (_, i) => ({
      name: `w${i}`,
      platforms: i % 5 === 0 ? ['linux/amd64', 'linux/arm64'] : ['linux/amd64'],
      projects: new Set<string>(),
      bases: new Set<string>(),
      builds: 0,
      containers: 0,
    }));
    this.#byName = new Map(this.#workers.map((worker) => [worker.name, worker]));
  }

  async run(): Promise<PlacementResult> {
    const { hours, policy } = this.#options;
    const end = START + hours * HOUR;
    this.#nextRequest(end);
    this.#nextLook(end);
    await this.#agenda.run(end);
    const waits = this.#waits.toSorted((a, b) => a - b);
    const mean = (values: readonly number[]) => values.reduce((sum, each) => sum + each, 0) / values.length;
    return {
      policy,
      builds: this.#builds.count,
      containers: this.#containers.count,
      wait: { p50: at(waits, 0.5), p95: at(waits, 0.95), p99: at(waits, 0.99) },
      cacheHits: this.#builds.warm / this.#builds.count,
      local: this.#containers.local / this.#containers.count,
      uneven: { builds: mean(this.#uneven.builds), containers: mean(this.#uneven.containers) },
      cost: (this.#decisions.spent * 1000) / this.#decisions.count,
    };
  }

  #nextRequest(end: number): void {
    const pause = -Math.log(1 - this.#random()) / rateAt(this.#options, this.#agenda.now);
    if (this.#agenda.now + pause > end) return;
    this.#agenda.at(this.#agenda.now + pause, () => {
      this.#nextRequest(end);
      const job = jobAt(this.#options, this.#random);
      if (job.kind === 'build') this.#askForBuild(job);
      else this.#runContainer(job);
    });
  }

  #nextLook(end: number): void {
    const next = this.#agenda.now + 60_000;
    if (next > end) return;
    this.#agenda.at(next, () => {
      if (this.#counts) {
        this.#uneven.builds.push(evenness(this.#workers.map(({ builds }) => builds)));
        this.#uneven.containers.push(evenness(this.#workers.map(({ containers }) => containers)));
      }
      if ((next - START) % HOUR === 0) this.#options.tell?.((next - START) / HOUR);
      this.#nextLook(end);
    });
  }

  #askForBuild(job: SimulatedJob): void {
    const wish = { images: [baseOf(job)], ...(job.platform && { platforms: [job.platform] }) };
    const { tenant, project } = job;
    const turn = { id: this.#next++, tenant, project, wish, worker: undefined, exempt: false };
    this.#turns.set(turn.id, { ...turn, job, asked: this.#agenda.now });
    this.#waiting++;
    this.#admitBuilds();
  }

  #admitBuilds(): void {
    if (this.#waiting === 0) return;
    const began = performance.now();
    const admitted = this.#options.policy === 'slipway' ? this.#byWarmth() : this.#byLoad();
    this.#decisions.spent += performance.now() - began;
    this.#decisions.count++;
    for (const [id, worker] of admitted) this.#beginBuild(id, this.#byName.get(worker)!);
  }

  #byWarmth(): Map<number, string> {
    const { slots } = this.#options;
    const workers = this.#workers.map(
      ({ name, platforms }): BuildWorker => ({
        name,
        platforms,
        emulates: [],
        state: 'ready',
        slots,
        jobs: 0,
      }),
    );
    const warmth: Warmth = {
      builtAt: ({ project }, worker) => this.#built.get(project)?.get(worker),
      images: ({ wish }, worker) =>
        (wish.images ?? []).filter((image) => this.#byName.get(worker)!.bases.has(image)).length,
    };
    return admit([...this.#turns.values()], workers, warmth);
  }

  /** Of those that have room, anyone, or who has the fewest. */
  #byLoad(): Map<number, string> {
    const admitted = new Map<number, string>();
    for (const { id, worker, job } of this.#turns.values()) {
      if (worker !== undefined) continue;
      const free = this.#able(job).filter(({ builds }) => builds < this.#options.slots);
      const chosen = this.#choose(free, ({ builds }) => builds);
      if (chosen) admitted.set(id, chosen.name);
    }
    return admitted;
  }

  #beginBuild(id: number, worker: SimulatedWorker): void {
    const turn = this.#turns.get(id)!;
    const { job, asked } = turn;
    this.#turns.set(id, { ...turn, worker: worker.name });
    this.#waiting--;
    worker.builds++;
    const isWarm = worker.projects.has(job.project);
    if (this.#counts) {
      this.#waits.push(this.#agenda.now - asked);
      this.#builds.count++;
      if (isWarm) this.#builds.warm++;
    }
    this.#has(worker, job);
    const { project } = job;
    this.#agenda.at(this.#agenda.now + durationOf(job, isWarm), () => {
      const built = this.#built.get(project) ?? new Map<string, number>();
      this.#built.set(project, built.set(worker.name, this.#agenda.now));
      worker.builds--;
      this.#turns.delete(id);
      this.#admitBuilds();
    });
  }

  #runContainer(job: SimulatedJob): void {
    const began = performance.now();
    const worker = this.#placeContainer(job);
    this.#decisions.spent += performance.now() - began;
    this.#decisions.count++;
    const local = partOf(worker, job);
    if (this.#counts) {
      this.#containers.count++;
      this.#containers.local += local;
    }
    worker.containers++;
    this.#has(worker, job);
    this.#agenda.at(this.#agenda.now + (1 - local) * FETCH + durationOf(job, true), () => {
      worker.containers--;
    });
  }

  #placeContainer(job: SimulatedJob): SimulatedWorker {
    const { policy, slots } = this.#options;
    if (policy !== 'slipway') return this.#choose(this.#able(job), ({ containers }) => containers)!;
    const base = baseOf(job);
    const candidates = this.#workers.map(
      (worker): Candidate => ({
        name: worker.name,
        platforms: worker.platforms,
        emulates: [],
        state: 'ready',
        labels: {},
        cpus: slots,
        load: worker.containers,
        image: partOf(worker, job, base),
      }),
    );
    return this.#byName.get(place(candidates, { platform: job.platform }, 'spread').name)!;
  }

  #choose(
    from: readonly SimulatedWorker[],
    load: (worker: SimulatedWorker) => number,
  ): SimulatedWorker | undefined {
    if (this.#options.policy === 'random') return from[Math.floor(this.#random() * from.length)];
    const least = Math.min(...from.map(load));
    const idle = from.filter((worker) => load(worker) === least);
    return idle[Math.floor(this.#random() * idle.length)];
  }

  #able({ platform }: SimulatedJob): SimulatedWorker[] {
    return this.#workers.filter(({ platforms }) => platform === undefined || platforms.includes(platform));
  }

  #has(worker: SimulatedWorker, job: SimulatedJob): void {
    const { projects, bases } = worker;
    projects.delete(job.project);
    projects.add(job.project);
    const [oldest] = projects;
    if (projects.size > this.#options.cacheSize) projects.delete(oldest!);
    bases.add(baseOf(job));
  }

  get #counts(): boolean {
    return this.#agenda.now >= START + this.#options.warmUp * HOUR;
  }
}

function baseOf({ project }: SimulatedJob): string {
  return `base-${Number(project.split('-')[1]) % BASES}`;
}

/** Of the image of a job's project, what a worker has. */
function partOf({ projects, bases }: SimulatedWorker, job: SimulatedJob, base = baseOf(job)): number {
  return projects.has(job.project) ? 1 : bases.has(base) ? BASE_PART : 0;
}
