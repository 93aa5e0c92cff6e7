import { setImmediate as settled } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { PoolDatabase } from '#database/pool/open.ts';
import { ClaimsRepository } from '#pool/jobs/claims-repository.ts';
import type { Claimant, NewJob } from '#pool/jobs/job.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { requirementOf } from '#pool/jobs/requirement.ts';
import { RequirementsRepository } from '#pool/jobs/requirements-repository.ts';
import { Summons } from '#pool/jobs/summons.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { onEachPoolDatabase } from '../../database/pool-databases.ts';
import { newJob } from './fixtures.ts';

const LONG = 60_000;
const ARM = requirementOf({ platform: 'linux/arm64' });

/** Workers that wait, and who of them was called. */
class Waiters implements Disposable {
  readonly summons: Summons;
  readonly called: string[] = [];
  readonly names = new Map<string, string>();
  readonly #leases: WorkerLeasesRepository;
  readonly #jobs: JobsRepository;
  readonly #requirements: RequirementsRepository;
  readonly #db: PoolDatabase;
  readonly #stopping = new AbortController();

  constructor(db: PoolDatabase) {
    this.#db = db;
    this.#leases = new WorkerLeasesRepository(db);
    this.#jobs = new JobsRepository(db);
    this.#requirements = new RequirementsRepository(db);
    this.summons = new Summons({ requirements: this.#requirements });
  }

  static async open(db: PoolDatabase): Promise<Waiters> {
    await new TenantsRepository(db).ensure('a');
    return new Waiters(db);
  }

  [Symbol.dispose](): void {
    this.#stopping.abort();
    this.summons[Symbol.dispose]();
  }

  async worker(name: string, platform = 'linux/amd64'): Promise<Claimant> {
    const offer = { platforms: [platform], labels: {}, cpus: 2, memory: 2 ** 30 };
    const claimant = await this.#leases.acquire({ name, address: 'unix:///w', offer }, LONG);
    this.names.set(claimant.worker, name);
    // Known from now on, so that a wait begins at once.
    await this.#requirements.offerOf(claimant);
    return claimant;
  }

  /** Waits once. */
  async wait(claimant: Claimant, free = 1): Promise<void> {
    await this.summons.wait({ claimant, free }, this.summons.now, LONG, this.#stopping.signal);
    if (!this.#stopping.signal.aborted) this.called.push(this.names.get(claimant.worker)!);
  }

  /** As an agent does: takes what there is, whenever it is called. */
  async work(claimant: Claimant): Promise<void> {
    const claims = new ClaimsRepository(this.#db);
    while (!this.#stopping.signal.aborted) {
      await this.wait(claimant);
      if (!this.#stopping.signal.aborted) await claims.claim(claimant, ['', ARM], 1);
    }
  }

  async add(changes: Partial<NewJob> = {}): Promise<void> {
    await this.#jobs.enqueue(newJob({ spec: 'job', ...changes }));
  }

  async queued(): Promise<number> {
    const rows = await this.#db.selectFrom('jobs').select('id').where('state', '=', 'queued').execute();
    return rows.length;
  }

  /** Keeps what is queued for a worker. */
  async keep(worker: Claimant, duration: number): Promise<void> {
    await this.#db
      .updateTable('jobs')
      .set({ preferred_worker: worker.worker, preferred_until: Date.now() + duration })
      .execute();
  }
}

onEachPoolDatabase('calls to the queue', (open) => {
  it('calls as many as there are jobs, and those that have waited longest', async () => {
    await using pool = await open();
    using waiters = await Waiters.open(pool.db);
    for (let i = 0; i < 40; i++) void waiters.work(await waiters.worker(`w${i}`));
    for (let i = 0; i < 3; i++) await waiters.add();
    await settled();
    waiters.summons.queued();
    await expect.poll(() => waiters.queued()).toBe(0);
    // One was taken while another was still on its way, perhaps: some calls for nothing, and not forty.
    expect(waiters.called.length).toBeLessThan(30);
    expect(waiters.called.slice(0, 3).toSorted()).toEqual(['w0', 'w1', 'w2']);
  });

  it('calls only who can do it, and has room', async () => {
    await using pool = await open();
    using waiters = await Waiters.open(pool.db);
    void waiters.wait(await waiters.worker('amd'));
    void waiters.wait(await waiters.worker('full', 'linux/arm64'), 0);
    void waiters.wait(await waiters.worker('arm', 'linux/arm64'));
    await waiters.add({ requirement: ARM });
    await settled();
    waiters.summons.queued();
    await expect.poll(() => waiters.called).toEqual(['arm']);
  });

  it('calls the worker that a job is kept for, and others when that time is over', async () => {
    await using pool = await open();
    using waiters = await Waiters.open(pool.db);
    const [cold, warm] = [await waiters.worker('cold'), await waiters.worker('warm')];
    await waiters.add();
    await waiters.keep(warm, LONG);
    void waiters.wait(cold);
    void waiters.wait(warm);
    await settled();
    waiters.summons.queued();
    await expect.poll(() => waiters.called).toEqual(['warm']);
    await waiters.keep(warm, 400);
    waiters.summons.queued();
    await expect.poll(() => waiters.called).toEqual(['warm', 'cold']);
  });

  it('calls another when the one that was called does not come', async () => {
    await using pool = await open();
    using waiters = await Waiters.open(pool.db);
    void waiters.wait(await waiters.worker('gone'));
    void waiters.wait(await waiters.worker('there'));
    await waiters.add();
    await settled();
    waiters.summons.queued();
    await expect.poll(() => waiters.called).toEqual(['gone', 'there']);
  });

  it('lets everybody look when what they are at is wanted no more', async () => {
    await using pool = await open();
    using waiters = await Waiters.open(pool.db);
    void waiters.wait(await waiters.worker('idle'));
    void waiters.wait(await waiters.worker('busy'), 0);
    await settled();
    waiters.summons.changed();
    await expect.poll(() => waiters.called.toSorted()).toEqual(['busy', 'idle']);
  });
});
