import { openPoolDatabase, type PoolDatabase } from '#database/pool/open.ts';
import { JobChangesRepository } from '#pool/jobs/changes-repository.ts';
import { ClaimsRepository } from '#pool/jobs/claims-repository.ts';
import type { Claimant } from '#pool/jobs/job.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { meets, requirementOf } from '#pool/jobs/requirement.ts';
import { RequirementsRepository } from '#pool/jobs/requirements-repository.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { randomNumbers } from '../chaos/faults.ts';
import { Agenda } from './agenda.ts';
import { at, evenness, HOUR, type Policy, START } from './figures.ts';
import { durationOf, jobAt, rateAt, type SimulatedJob, type WorldOptions } from './world.ts';

export interface SimulationOptions extends WorldOptions {
  readonly policy: Policy;
  readonly seed: number;
  /** Of virtual time, from eleven in the morning, when most is asked for. */
  readonly hours: number;
  /** Of these, the first ones that do not count: caches are cold. */
  readonly warmUp: number;
  /** Told how many virtual hours are over, after each. */
  readonly tell?: (hours: number) => void;
}

export interface SimulationResult {
  readonly policy: Policy;
  readonly jobs: number;
  /** Seconds from the request to the start. */
  readonly wait: { readonly p50: number; readonly p95: number; readonly p99: number };
  /** Of builds: how many found what they stand on. */
  readonly cacheHits: number;
  /** Seconds from the request to the end. */
  readonly turnaround: { readonly p50: number; readonly p95: number };
  readonly utilization: number;
  /** The standard deviation of how many jobs workers are at, over the mean: 0 is even. */
  readonly imbalance: number;
  /** Of a tenant's mean wait, the worst over that of all. */
  readonly unfairness: number;
  /** Microseconds of this machine that the scheduler took for a job, with its database. */
  readonly cost: number;
}

interface SimulatedWorker {
  readonly claimant: Claimant;
  readonly offer: Parameters<typeof meets>[0];
  /** The newest last. */
  readonly cache: Set<string>;
  running: number;
}

const KEEP = 2 * HOUR;

/** Runs a pool in virtual time: its queue, its turns and its claims are the pool's own code, on a database in memory. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const agenda = new Agenda();
  agenda.now = START;
  const db = await openPoolDatabase({ driver: 'sqlite', file: ':memory:', clock: () => agenda.now });
  try {
    return await new Simulation(db, agenda, options).run();
  } finally {
    await db.destroy();
  }
}

class Simulation {
  readonly #db: PoolDatabase;
  readonly #agenda: Agenda;
  readonly #options: SimulationOptions;
  readonly #random: () => number;
  readonly #jobs: JobsRepository;
  readonly #claims: ClaimsRepository;
  readonly #requirements: RequirementsRepository;
  readonly #changes: JobChangesRepository;
  readonly #leases: WorkerLeasesRepository;
  readonly #tenants: TenantsRepository;
  readonly #workers: SimulatedWorker[] = [];
  readonly #byId = new Map<string, SimulatedWorker>();
  /** Those that have room. */
  #free: SimulatedWorker[] = [];
  readonly #waiting = new Map<string, { readonly job: SimulatedJob; readonly at: number }>();
  readonly #waits: number[] = [];
  readonly #turnarounds: number[] = [];
  readonly #waitsOf = new Map<string, { sum: number; count: number }>();
  #asked = 0;
  #hits = 0;
  #builds = 0;
  #busy = 0;
  #imbalances: number[] = [];

  constructor(db: PoolDatabase, agenda: Agenda, options: SimulationOptions) {
    this.#db = db;
    this.#agenda = agenda;
    this.#options = options;
    this.#random = randomNumbers(options.seed);
    this.#jobs = new JobsRepository(db);
    this.#claims = new ClaimsRepository(db);
    this.#requirements = new RequirementsRepository(db);
    this.#changes = new JobChangesRepository(db);
    this.#leases = new WorkerLeasesRepository(db);
    this.#tenants = new TenantsRepository(db);
  }

  async run(): Promise<SimulationResult> {
    const { hours, warmUp, workers, slots, tenants, policy } = this.#options;
    for (let i = 0; i < tenants; i++) await this.#tenants.ensure(`tenant-${i}`);
    for (let i = 0; i < workers; i++) await this.#addWorker(i);
    this.#free = [...this.#workers];
    const end = START + hours * HOUR;
    this.#nextRequest(end);
    this.#nextCleaning(end);
    const began = performance.now();
    await this.#agenda.run(end);
    const spent = performance.now() - began;
    const waits = this.#waits.toSorted((a, b) => a - b);
    const turnarounds = this.#turnarounds.toSorted((a, b) => a - b);
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    const means = [...this.#waitsOf.values()]
      .filter(({ count }) => count > 100)
      .map(({ sum, count }) => sum / count);
    return {
      policy,
      jobs: waits.length,
      wait: { p50: at(waits, 0.5), p95: at(waits, 0.95), p99: at(waits, 0.99) },
      cacheHits: this.#hits / this.#builds,
      turnaround: { p50: at(turnarounds, 0.5), p95: at(turnarounds, 0.95) },
      utilization: this.#busy / ((hours - warmUp) * HOUR * workers * slots),
      imbalance: this.#imbalances.reduce((sum, each) => sum + each, 0) / this.#imbalances.length,
      unfairness: mean === 0 ? 1 : Math.max(...means) / mean,
      cost: (spent * 1000) / this.#asked,
    };
  }

  async #addWorker(i: number): Promise<void> {
    const platforms = i % 5 === 0 ? ['linux/amd64', 'linux/arm64'] : ['linux/amd64'];
    const offer = { platforms, labels: {}, cpus: this.#options.slots, memory: 2 ** 34 };
    const claimant = await this.#leases.acquire(
      { name: `w${i}`, address: 'unix:///w', offer },
      (this.#options.hours + 1) * HOUR,
    );
    const worker = { claimant, offer, cache: new Set<string>(), running: 0 };
    this.#workers.push(worker);
    this.#byId.set(claimant.worker, worker);
  }

  #nextRequest(end: number): void {
    const pause = -Math.log(1 - this.#random()) / rateAt(this.#options, this.#agenda.now);
    if (this.#agenda.now + pause > end) return;
    this.#agenda.at(this.#agenda.now + pause, async () => {
      this.#nextRequest(end);
      await this.#request(jobAt(this.#options, this.#random));
    });
  }

  /** As the pool's housekeeping has it, which keeps the database from growing. */
  #nextCleaning(end: number): void {
    const next = this.#agenda.now + 60_000;
    if (next > end) return;
    this.#agenda.at(next, async () => {
      while ((await this.#changes.removeOld(this.#agenda.now - KEEP, 500)).count === 500);
      if (this.#agenda.now >= this.#from)
        this.#imbalances.push(evenness(this.#workers.map(({ running }) => running)));
      if ((next - START) % HOUR === 0) this.#options.tell?.((next - START) / HOUR);
      this.#nextCleaning(end);
    });
  }

  async #request(wanted: SimulatedJob): Promise<void> {
    this.#asked++;
    const { tenant, kind, project, platform } = wanted;
    const isKept = this.#options.policy === 'slipway' && kind === 'build';
    const { job } = await this.#jobs.enqueue({
      tenant,
      name: project,
      kind,
      spec: { project },
      requirement: requirementOf({ platform }),
      ...(isKept && { affinity: project }),
      priority: 0,
      maxAttempts: 3,
      timeout: 7_200_000,
    });
    this.#waiting.set(job.id, { job: wanted, at: this.#agenda.now });
    const kept = isKept ? await this.#keptFor(job.id) : undefined;
    if (kept && kept.worker !== null) {
      const worker = this.#byId.get(kept.worker)!;
      if (this.#hasRoom(worker)) await this.#look(worker);
      if (!this.#waiting.has(job.id)) return;
      // With many that look every two seconds, one of them does right then.
      this.#agenda.at(kept.until! + 1, async () => {
        if (this.#waiting.has(job.id)) await this.#lookOfSomebody();
      });
    }
    await this.#lookOfSomebody();
  }

  /** The worker that has the first right to a job, and until when. */
  #keptFor(id: string): Promise<{ worker: string | null; until: number | null }> {
    return this.#db
      .selectFrom('jobs')
      .select(['preferred_worker as worker', 'preferred_until as until'])
      .where('public_id', '=', id)
      .executeTakeFirstOrThrow();
  }

  /** Somebody who has room, and whom a job's requirement lets, comes first. */
  async #lookOfSomebody(): Promise<void> {
    for (const requirement of await this.#requirements.queued()) {
      const able =
        requirement === '' ? this.#free : this.#free.filter(({ offer }) => meets(offer, requirement));
      if (able.length === 0) continue;
      const worker =
        this.#options.policy === 'least-loaded'
          ? able.reduce((least, each) => (each.running < least.running ? each : least))
          : able[Math.floor(this.#random() * able.length)]!;
      await this.#look(worker);
    }
  }

  /** What a worker's agent does when it has room. */
  async #look(worker: SimulatedWorker): Promise<void> {
    const met = (await this.#requirements.queued()).filter((requirement) => meets(worker.offer, requirement));
    const limit = this.#options.slots - worker.running;
    for (const { id, attempt } of await this.#claims.claim(worker.claimant, met, limit)) {
      this.#begin(worker, id, attempt);
    }
  }

  #begin(worker: SimulatedWorker, id: string, attempt: number): void {
    const { now } = this.#agenda;
    const { job, at: asked } = this.#waiting.get(id)!;
    this.#waiting.delete(id);
    const wait = now - asked;
    const counts = asked >= this.#from;
    if (counts) this.#note(job, wait);
    const isWarm = worker.cache.delete(job.project);
    if (job.kind === 'build') {
      if (counts) this.#builds++;
      if (counts && isWarm) this.#hits++;
      worker.cache.add(job.project);
      const [oldest] = worker.cache;
      if (worker.cache.size > this.#options.cacheSize) worker.cache.delete(oldest!);
    } else if (isWarm) worker.cache.add(job.project);
    worker.running++;
    if (!this.#hasRoom(worker)) this.#free = this.#free.filter((each) => each !== worker);
    const duration = durationOf(job, isWarm);
    const end = START + this.#options.hours * HOUR;
    this.#busy += Math.max(0, Math.min(now + duration, end) - Math.max(now, this.#from));
    this.#agenda.at(now + duration, async () => {
      await this.#claims.end({ id, attempt }, worker.claimant, { state: 'succeeded', result: null });
      if (counts) this.#turnarounds.push(this.#agenda.now - asked);
      if (!this.#hasRoom(worker)) this.#free.push(worker);
      worker.running--;
      // It would find nothing.
      if (this.#waiting.size > 0) await this.#look(worker);
    });
  }

  #note({ tenant }: SimulatedJob, wait: number): void {
    this.#waits.push(wait);
    const { sum, count } = this.#waitsOf.get(tenant) ?? { sum: 0, count: 0 };
    this.#waitsOf.set(tenant, { sum: sum + wait, count: count + 1 });
  }

  /** What is asked for from here on counts. */
  get #from(): number {
    return START + this.#options.warmUp * HOUR;
  }

  #hasRoom({ running }: SimulatedWorker): boolean {
    return running < this.#options.slots;
  }
}
