import { openPoolDatabase, type PoolDatabase } from '#database/pool/open.ts';
import { ClaimsRepository } from '#pool/jobs/claims-repository.ts';
import type { Claim, Claimant } from '#pool/jobs/job.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { postgresOptions } from '../../database/registry-databases.ts';
import type { BenchQueue } from './queue.ts';

const TENANTS = 20;
const OFFER = { platforms: ['linux/amd64'], labels: {}, cpus: 2, memory: 2 ** 30 };

/** Ours: jobs of twenty tenants, which have their turns, for workers with leases. */
export class SlipwayQueue implements BenchQueue {
  readonly name = 'slipway';
  readonly #db: PoolDatabase;
  readonly #claims: ClaimsRepository;
  readonly #workers: readonly Claimant[];
  readonly #held = new Map<string, { claim: Claim; by: Claimant }>();

  private constructor(db: PoolDatabase, workers: readonly Claimant[]) {
    this.#db = db;
    this.#claims = new ClaimsRepository(db);
    this.#workers = workers;
  }

  static async open(url: string, claimers: number): Promise<SlipwayQueue> {
    const db = await openPoolDatabase({ ...postgresOptions(url), maxConnections: claimers + 1 });
    const tenants = new TenantsRepository(db);
    for (let i = 0; i < TENANTS; i++) await tenants.ensure(`tenant-${i}`);
    const leases = new WorkerLeasesRepository(db);
    const names = Array.from({ length: claimers }, (_, i) => `worker-${i}`);
    const workers = await Promise.all(
      names.map((name) => leases.acquire({ name, address: 'unix:///w', offer: OFFER }, 600_000)),
    );
    return new SlipwayQueue(db, workers);
  }

  async enqueue(count: number): Promise<void> {
    const jobs = new JobsRepository(this.#db);
    const one = (tenant: string) => ({
      tenant,
      name: 'a job',
      kind: 'run',
      spec: { image: 'busybox', command: ['true'] },
      requirement: '',
      priority: 0,
      maxAttempts: 3,
      timeout: 60_000,
    });
    for (let i = 0; i < count / 100; i++) {
      const tenant = `tenant-${i % TENANTS}`;
      await jobs.enqueueAll(Array.from({ length: 100 }, () => one(tenant)));
    }
  }

  async claim(claimer: number, limit: number): Promise<string[]> {
    const by = this.#workers[claimer]!;
    const claimed = await this.#claims.claim(by, [''], limit);
    for (const claim of claimed) this.#held.set(claim.id, { claim, by });
    return claimed.map(({ id }) => id);
  }

  async end(id: string): Promise<void> {
    const { claim, by } = this.#held.get(id)!;
    if (!(await this.#claims.end(claim, by, { state: 'succeeded', result: null }))) throw new Error('lost');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#db.destroy();
  }
}
