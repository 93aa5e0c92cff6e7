import { expect, it } from 'vitest';
import type { PoolDatabase } from '#database/pool/open.ts';
import { ClaimsRepository } from '#pool/jobs/claims-repository.ts';
import { DueRepository } from '#pool/jobs/due-repository.ts';
import type { Claimant, NewJob } from '#pool/jobs/job.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { onEachPoolDatabase, type TestPool } from '../../database/pool-databases.ts';
import { newJob, OFFER } from './fixtures.ts';

const LEASE = 60_000;

const job = (tenant: string, changes: Partial<NewJob> = {}): NewJob => newJob({ tenant, ...changes });

/** A pool with tenants and workers. */
class Pool {
  readonly db: PoolDatabase;
  readonly jobs: JobsRepository;
  readonly claims: ClaimsRepository;
  readonly due: DueRepository;
  readonly leases: WorkerLeasesRepository;

  constructor(db: PoolDatabase) {
    this.db = db;
    this.jobs = new JobsRepository(db);
    this.claims = new ClaimsRepository(db);
    this.due = new DueRepository(db);
    this.leases = new WorkerLeasesRepository(db);
  }

  async tenant(name: string, settings: { weight?: number; max_running?: number } = {}): Promise<void> {
    await this.db
      .insertInto('tenants')
      .values({ name, max_running: null, ...settings })
      .execute();
  }

  worker(name: string, duration = LEASE): Promise<Claimant> {
    return this.leases.acquire({ name, address: 'localhost:1', offer: OFFER }, duration);
  }

  async add(tenant: string, name: string, changes: Partial<NewJob> = {}): Promise<string> {
    return (await this.jobs.enqueue(job(tenant, { spec: name, ...changes }))).job.id;
  }

  /** The specs of what a worker gets. */
  async takes(worker: Claimant, limit: number, requirements = ['']): Promise<unknown[]> {
    return (await this.claims.claim(worker, requirements, limit)).map(({ spec }) => spec);
  }

  async state(id: string): Promise<string> {
    return (await this.jobs.get(id)).state;
  }
}

onEachPoolDatabase('jobs', (create, dialect) => {
  const open = async (database: TestPool) => {
    const pool = new Pool(database.db);
    await pool.tenant('a');
    await pool.tenant('b');
    return { pool, one: await pool.worker('one') };
  };

  it('are claimed by priority, then in turn', async () => {
    await using database = await create();
    const { pool, one } = await open(database);
    await pool.add('a', 'first');
    await pool.add('a', 'second');
    await pool.add('a', 'urgent', { priority: 5 });
    expect(await pool.takes(one, 2)).toEqual(['urgent', 'first']);
    expect(await pool.takes(one, 9)).toEqual(['second']);
    expect(await pool.takes(one, 9)).toEqual([]);
  });

  it('of one tenant do not keep another’s waiting', async () => {
    await using database = await create();
    const { pool, one } = await open(database);
    for (let i = 0; i < 20; i++) await pool.add('a', `a${i}`);
    await pool.takes(one, 3);
    await pool.add('b', 'b');
    expect(await pool.takes(one, 2)).toContain('b');
  });

  it('start as often as their tenants’ weights say', async () => {
    await using database = await create();
    const { pool, one } = await open(database);
    await pool.tenant('heavy', { weight: 3 });
    for (let i = 0; i < 12; i++) await pool.add('a', 'a');
    for (let i = 0; i < 12; i++) await pool.add('heavy', 'heavy');
    const started = await pool.takes(one, 12);
    expect(started.filter((spec) => spec === 'heavy')).toHaveLength(9);
  });

  it('go to one worker each, however many ask', async () => {
    await using database = await create();
    const { pool } = await open(database);
    const ids = new Set<string>();
    for (let i = 0; i < 30; i++) ids.add(await pool.add('a', `${i}`));
    const other = new Pool(dialect === 'sqlite' ? database.db : await database.another());
    const workers = await Promise.all(['w1', 'w2', 'w3', 'w4'].map((name) => pool.worker(name)));
    const claimed = await Promise.all(
      Array.from({ length: 60 }, (_, i) => (i % 2 ? pool : other).claims.claim(workers[i % 4]!, [''], 2)),
    );
    const taken = claimed.flat().map(({ id }) => id);
    expect(taken.toSorted()).toEqual([...ids].toSorted());
  });

  it('are left to workers that can do them', async () => {
    await using database = await create();
    const { pool, one } = await open(database);
    await pool.add('a', 'arm', { requirement: 'arm64' });
    await pool.add('a', 'any');
    expect(await pool.takes(one, 9, ['', 'gpu'])).toEqual(['any']);
    expect(await pool.takes(one, 9, [])).toEqual([]);
    expect(await pool.takes(one, 9, ['arm64'])).toEqual(['arm']);
  });

  it('wait for the worker that they prefer, for as long as they want', async () => {
    await using database = await create();
    const { pool, one } = await open(database);
    const two = await pool.worker('two');
    await pool.add('a', 'warm', { preference: { worker: two.worker, duration: LEASE } });
    await pool.add('a', 'lukewarm', { preference: { worker: two.worker, duration: 0 } });
    expect(await pool.takes(one, 9)).toEqual(['lukewarm']);
    expect(await pool.takes(two, 9)).toEqual(['warm']);
  });

  it('go to the worker that was at the like last, unless it is full or gone', async () => {
    await using database = await create();
    const { pool, one } = await open(database);
    const two = await pool.worker('two');
    const like = { affinity: 'app' };
    await pool.add('a', 'first', like);
    const [claim] = await pool.claims.claim(two, [''], 1);
    await pool.claims.end(claim!, two, { state: 'succeeded', result: null });
    await pool.add('a', 'second', like);
    await pool.add('a', 'unlike', { affinity: 'another' });
    expect(await pool.takes(one, 9)).toEqual(['unlike']);
    expect(await pool.takes(two, 1)).toEqual(['second']);
    // It has two cores, and is at two jobs then.
    await pool.add('a', 'third', like);
    expect(await pool.takes(two, 1)).toEqual(['third']);
    await pool.add('a', 'fourth', like);
    expect(await pool.takes(one, 9)).toEqual(['fourth']);
    await pool.leases.expire(async () => {});
    await database.db.updateTable('workers').set({ state: 'lost' }).where('id', '=', two.worker).execute();
    await pool.add('a', 'fifth', like);
    expect(await pool.takes(one, 9)).toEqual(['fifth']);
  });

  it('run as many at once as their tenant may, the urgent ones first', async () => {
    await using database = await create();
    const { pool, one } = await open(database);
    await pool.tenant('small', { max_running: 2 });
    await pool.add('small', '1');
    await pool.add('small', '2');
    await pool.add('small', '3');
    await pool.add('small', 'urgent', { priority: 1 });
    const claims = await pool.claims.claim(one, [''], 9);
    expect(claims.map(({ spec }) => spec)).toEqual(['urgent', '1']);
    expect(await pool.claims.end(claims[0]!, one, { state: 'succeeded', result: null })).toBe(true);
    expect(await pool.takes(one, 9)).toEqual(['2']);
  });

  it('are one while they have the same key', async () => {
    await using database = await create();
    const { pool, one } = await open(database);
    const asked = await Promise.all([1, 2, 3].map(() => pool.jobs.enqueue(job('a', { dedupKey: 'k' }))));
    expect(new Set(asked.map((answer) => answer.job.id)).size).toBe(1);
    expect(asked.filter((answer) => answer.isNew)).toHaveLength(1);
    expect((await pool.jobs.enqueue(job('b', { dedupKey: 'k' }))).isNew).toBe(true);
    for (const claim of await pool.claims.claim(one, [''], 9)) {
      await pool.claims.end(claim, one, { state: 'failed', result: null });
    }
    expect((await pool.jobs.enqueue(job('a', { dedupKey: 'k' }))).isNew).toBe(true);
  });

  it('that a tenant has asked for are apart from those that the operator has on its share', async () => {
    await using database = await create();
    const { pool, one } = await open(database);
    const [own, operators] = [{ confined: true, dedupKey: 'k' }, { dedupKey: 'k' }];
    const first = await pool.add('a', 'own', own);
    expect(await pool.add('a', 'own', own)).toBe(first);
    const other = await pool.add('a', 'operators', operators);
    expect(other).not.toBe(first);
    for (const [need, confined] of [
      [first, false],
      [other, true],
    ] as const) {
      await expect(pool.add('a', 'needs', { needs: [need], confined })).rejects.toThrow(
        `needs a job that is not there: ${need}`,
      );
    }
    const listed = await pool.jobs.list({ tenant: 'a', confined: true, limit: 10 });
    expect(listed.map(({ id }) => id)).toEqual([first]);
    expect(await pool.jobs.countOpen('a')).toBe(1);
    const claimed = await pool.claims.claim(one, [''], 2);
    expect(claimed.map(({ id, confined }) => [id, confined])).toEqual([
      [first, true],
      [other, false],
    ]);
  });

  it('come after what they need, or not at all', async () => {
    await using database = await create();
    const { pool, one } = await open(database);
    const [build, test, deploy] = (
      await pool.jobs.enqueueAll([
        job('a', { spec: 'build' }),
        job('a', { spec: 'test', needs: ['#0'] }),
        job('a', { spec: 'deploy', needs: ['#0', '#1'] }),
      ])
    ).map((answer) => answer.job.id) as [string, string, string];
    const [first, ...others] = await pool.claims.claim(one, [''], 9);
    expect([first!.id, others]).toEqual([build, []]);
    await pool.claims.end(first!, one, { state: 'succeeded', result: null });
    const [second] = await pool.claims.claim(one, [''], 9);
    expect(second!.id).toBe(test);
    await pool.claims.end(second!, one, { state: 'failed', result: null });
    expect(await pool.state(deploy)).toBe('skipped');
    await expect(pool.jobs.enqueue(job('b', { needs: [build] }))).rejects.toThrow('not there');
  });

  it('wait for their time', async () => {
    await using database = await create();
    const { pool, one } = await open(database);
    await pool.add('a', 'later', { notBefore: Date.now() + LEASE });
    await pool.add('a', 'now', { notBefore: 1 });
    expect(await pool.takes(one, 9)).toEqual([]);
    expect(await pool.due.release()).toBe(1);
    expect(await pool.takes(one, 9)).toEqual(['now']);
  });

  it('of a worker that is lost are done by another, and it cannot end them', async () => {
    await using database = await create();
    const { pool } = await open(database);
    const dead = await pool.worker('dead', 0);
    expect(await pool.takes(dead, 9)).toEqual([]);
    const late = await pool.worker('late');
    const id = await pool.add('a', 'work');
    const [claim] = await pool.claims.claim(late, [''], 1);
    expect(await pool.leases.renew(late, 0)).toBe(true);
    const lost = await pool.leases.expire((trx, who) => pool.claims.release(trx, who));
    expect(lost.map(({ worker }) => worker).toSorted()).toEqual([dead.worker, late.worker].toSorted());
    expect(await pool.leases.renew(late, LEASE)).toBe(false);
    expect(await pool.claims.end(claim!, late, { state: 'succeeded', result: null })).toBe(false);
    expect(await pool.state(id)).toBe('delayed');
  });

  it('fail when they were tried often enough', async () => {
    await using database = await create();
    const { pool } = await open(database);
    const id = await pool.add('a', 'cursed', { maxAttempts: 1 });
    const worker = await pool.worker('unlucky');
    await pool.takes(worker, 1);
    await pool.leases.renew(worker, 0);
    await pool.leases.expire((trx, who) => pool.claims.release(trx, who));
    expect(await pool.jobs.get(id)).toMatchObject({
      state: 'failed',
      result: { error: 'its worker was lost (attempt 1)' },
    });
  });

  it('know how many are ahead of them', async () => {
    await using database = await create();
    const { pool, one } = await open(database);
    await pool.add('a', '1');
    await pool.add('a', '2');
    const third = await pool.add('a', '3');
    expect(await pool.jobs.ahead(third)).toBe(2);
    await pool.takes(one, 3);
    expect(await pool.jobs.ahead(third)).toBeUndefined();
  });
});
