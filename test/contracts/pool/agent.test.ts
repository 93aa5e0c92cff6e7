import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { unavailable } from '#errors/errors.ts';
import { Agent } from '#pool/agent/agent.ts';
import { type Attempt, JobFailure, type Made } from '#pool/agent/job-runner.ts';
import { JobChangesRepository } from '#pool/jobs/changes-repository.ts';
import { ClaimsRepository } from '#pool/jobs/claims-repository.ts';
import { Contexts } from '#pool/jobs/contexts.ts';
import { ContextsRepository } from '#pool/jobs/contexts-repository.ts';
import { DatabaseJobQueue } from '#pool/jobs/database-job-queue.ts';
import { DueRepository } from '#pool/jobs/due-repository.ts';
import { followLog } from '#pool/jobs/follow-log.ts';
import type { Claimant, Job, NewJob } from '#pool/jobs/job.ts';
import { JobLogRepository } from '#pool/jobs/job-log-repository.ts';
import { JobLogs } from '#pool/jobs/job-logs.ts';
import type { JobQueue, Publication } from '#pool/jobs/job-queue.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { Publisher } from '#pool/jobs/publisher.ts';
import { PublishingRepository } from '#pool/jobs/publishing-repository.ts';
import { RequirementsRepository } from '#pool/jobs/requirements-repository.ts';
import { Summons } from '#pool/jobs/summons.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { onEachPoolDatabase } from '../../database/pool-databases.ts';

const MAX_LOG = 300_000;
const OFFER = { platforms: ['linux/amd64'], labels: {}, cpus: 2, memory: 2 ** 30 };
const DONE: Made = { result: {}, publications: [] };

/** A pool whose jobs are whatever a test says. */
class Pool {
  readonly jobs: JobsRepository;
  readonly changes: JobChangesRepository;
  readonly claims: ClaimsRepository;
  readonly due: DueRepository;
  readonly leases: WorkerLeasesRepository;
  readonly content = new MemoryContentStore();
  readonly logs: JobLogs;
  readonly publisher: Publisher;
  readonly requirements: RequirementsRepository;
  readonly summons: Summons;
  /** The names that were given. */
  readonly given: Publication[] = [];
  /** Names that registries did not take. */
  refused = 0;
  /** Whether registries take names. */
  registry: 'up' | 'down' = 'up';
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
    this.jobs = new JobsRepository(db);
    this.changes = new JobChangesRepository(db);
    this.claims = new ClaimsRepository(db);
    this.due = new DueRepository(db);
    this.leases = new WorkerLeasesRepository(db);
    this.requirements = new RequirementsRepository(db);
    this.summons = new Summons(this);
    this.logs = new JobLogs({ rows: new JobLogRepository(db), content: this.content });
    this.publisher = new Publisher({
      rows: new PublishingRepository(db),
      names: {
        give: async (publication) => {
          if (this.registry === 'down') {
            this.refused++;
            throw unavailable('no registry answers');
          }
          this.given.push(publication);
        },
      },
      ended: (id) => this.logs.settle(id),
    });
  }

  static async open(db: PoolDatabase): Promise<Pool> {
    const tenants = new TenantsRepository(db);
    for (const name of ['a', 'b']) await tenants.ensure(name);
    return new Pool(db);
  }

  queue(): DatabaseJobQueue {
    const { jobs: rows, claims, requirements, logs, publisher, summons } = this;
    const contexts = new Contexts(
      { rows: new ContextsRepository(this.#db), content: this.content },
      { maxBytes: 1000 },
    );
    const ended = (id: string) => logs.settle(id);
    const policies = async () => new Map();
    return new DatabaseJobQueue({
      rows,
      claims,
      requirements,
      policies,
      logs,
      contexts,
      publisher,
      summons,
      ended,
    });
  }

  worker(name: string, duration = 60_000): Promise<Claimant> {
    return this.leases.acquire({ name, address: 'unix:///w', offer: OFFER }, duration);
  }

  agent(
    claimant: Claimant,
    slots: number,
    run: (attempt: Attempt) => Promise<Made>,
    queue: JobQueue = this.queue(),
  ): Agent {
    return new Agent(
      {
        queue,
        runners: new Map([['run', { run }]]),
        claimant: () => claimant,
        log: pino({ enabled: false }),
      },
      { slots, maxLogBytes: MAX_LOG },
    );
  }

  async add(tenant: string, name: string, changes: Partial<NewJob> = {}): Promise<string> {
    const { job } = await this.jobs.enqueue({
      tenant,
      name,
      kind: 'run',
      spec: name,
      requirement: '',
      priority: 0,
      maxAttempts: 3,
      timeout: 60_000,
      ...changes,
    });
    this.summons.queued();
    return job.id;
  }

  /** Once it is in one of these states. */
  async until(id: string, ...states: Job['state'][]): Promise<Job> {
    for (;;) {
      const job = await this.jobs.get(id);
      if (states.includes(job.state)) return job;
      await sleep(10);
    }
  }

  async log(id: string): Promise<string> {
    const bytes = await Array.fromAsync(this.logs.read(id, 0));
    return Buffer.concat(bytes).toString();
  }
}

/** Until it is to end, as a process that is told to. */
function untilEnded({ signal }: Attempt): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

onEachPoolDatabase('an agent', (create) => {
  it('does jobs, and keeps what they write', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    const made = { repository: 'r.example/app', digest: 'sha256:1', tags: ['1'] };
    await using _ = pool.agent(await pool.worker('one'), 2, async ({ job, log }) => {
      await log(`this is ${job.kind}`);
      return { result: { exitCode: 0 }, publications: [made] };
    });
    const id = await pool.add('a', 'first', { spec: { tags: ['r.example/app:1'] } });
    const job = await pool.until(id, 'succeeded');
    expect(job.result).toEqual({ exitCode: 0, publications: [made] });
    expect(pool.given).toEqual([made]);
    expect(await pool.log(id)).toBe('this is run');
  });

  it('gives back what it claimed, and did not hear of', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    const queue = pool.queue();
    const claim = queue.claim.bind(queue);
    let lost = 0;
    queue.claim = async (...given) => {
      const claimed = await claim(...given);
      if (claimed.length === 0 || lost++ > 0) return claimed;
      throw unavailable('the answer was lost');
    };
    await using _ = pool.agent(await pool.worker('one'), 2, async () => DONE, queue);
    const id = await pool.add('a', 'first');
    await pool.until(id, 'delayed');
    while ((await pool.due.release()) === 0) await sleep(50);
    pool.summons.queued();
    expect(await pool.until(id, 'succeeded')).toMatchObject({ attempt: 2 });
  });

  it('gives back what it could not keep the log of', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    const queue = pool.queue();
    const log = queue.log.bind(queue);
    let isUp = false;
    queue.log = async (...given) => isUp && (await log(...given));
    const work = async ({ log: write, signal }: Attempt) => {
      await write('x');
      if (!isUp) await untilEnded({ signal } as Attempt);
      return DONE;
    };
    await using _ = pool.agent(await pool.worker('one'), 2, work, queue);
    const id = await pool.add('a', 'first');
    await pool.until(id, 'delayed');
    isUp = true;
    while ((await pool.due.release()) === 0) await sleep(50);
    pool.summons.queued();
    expect(await pool.until(id, 'succeeded')).toMatchObject({ attempt: 2 });
  });

  it('has no more at once than it has room for, and begins the next as soon as there is', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    let running = 0;
    let most = 0;
    const full = Promise.withResolvers<void>();
    await using _ = pool.agent(await pool.worker('one'), 3, async () => {
      most = Math.max(most, ++running);
      if (running === 3) full.resolve();
      await full.promise;
      running--;
      return DONE;
    });
    const ids = await Promise.all(Array.from({ length: 20 }, (_, i) => pool.add('a', `${i}`)));
    for (const id of ids) await pool.until(id, 'succeeded');
    expect(most).toBe(3);
  });

  it('starts a tenant’s single job within its share, though another has 500', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    const many = Array.from({ length: 500 }, (_, i) => ({
      tenant: 'a',
      name: `${i}`,
      kind: 'run',
      spec: 'a',
      requirement: '',
      priority: 0,
      maxAttempts: 3,
      timeout: 60_000,
    }));
    await pool.jobs.enqueueAll(many);
    const started: unknown[] = [];
    const queued = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    await using _ = pool.agent(await pool.worker('one'), 4, async ({ job }) => {
      started.push(job.spec);
      if (started.length === 12) reached.resolve();
      if (started.length >= 12) await queued.promise;
      return DONE;
    });
    await reached.promise;
    const id = await pool.add('b', 'single', { spec: 'b' });
    queued.resolve();
    await pool.until(id, 'succeeded');
    // What was claimed already, and one of the other's for each of its own.
    expect(started.indexOf('b')).toBeLessThan(12 + 4 + 4);
  });

  it('ends what is canceled, and what takes too long', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    await using _ = pool.agent(await pool.worker('one'), 2, untilEnded);
    const canceled = await pool.add('a', 'canceled');
    const slow = await pool.add('a', 'slow', { timeout: 50 });
    await pool.until(canceled, 'running');
    await pool.changes.cancel(canceled, 'not wanted');
    pool.summons.changed();
    expect(await pool.until(canceled, 'canceled')).toMatchObject({ result: { error: 'not wanted' } });
    const job = await pool.until(slow, 'failed');
    expect(job).toMatchObject({ attempt: 1, result: { error: 'it took longer than 0.05 seconds' } });
  });

  it('does again what others are to blame for, not what the job is', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    await using _ = pool.agent(await pool.worker('one'), 2, async ({ job }) => {
      if (job.spec === 'bad') throw new JobFailure('exit code 1', { exitCode: 1 });
      if (job.attempt === 1) throw unavailable('the disk is full');
      return DONE;
    });
    const bad = await pool.add('a', 'bad');
    const good = await pool.add('a', 'good');
    const cursed = await pool.add('a', 'cursed', { maxAttempts: 1 });
    expect(await pool.until(bad, 'failed')).toMatchObject({ attempt: 1, result: { exitCode: 1 } });
    expect(await pool.until(cursed, 'failed')).toMatchObject({ result: { error: 'the disk is full' } });
    await pool.until(good, 'delayed');
    while ((await pool.due.release()) === 0) await sleep(50);
    pool.summons.queued();
    expect(await pool.until(good, 'succeeded')).toMatchObject({ attempt: 2 });
    expect(await pool.log(good)).toContain('could not go on: the disk is full]\n[attempt 2]\n');
  });

  it('publishes nothing in the name of a lease that it lost', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    const late = await pool.worker('late');
    const finish = Promise.withResolvers<void>();
    const made = (by: string) => ({ repository: 'r.example/app', digest: `sha256:${by}`, tags: ['1'] });
    // Frozen, it does not hear that its lease is over.
    await using _ = pool.agent(late, 1, async ({ log }) => {
      await finish.promise;
      await log('from the grave');
      return { result: {}, publications: [made('late')] };
    });
    const id = await pool.add('a', 'work', { spec: { tags: ['r.example/app:1'] } });
    await pool.until(id, 'running');
    await pool.leases.renew(late, 0);
    const other = await pool.worker('other');
    await pool.leases.expire((trx, lost) => pool.claims.release(trx, lost));
    await pool.until(id, 'delayed');
    await using __ = pool.agent(other, 1, async () => ({ result: {}, publications: [made('other')] }));
    while ((await pool.due.release()) === 0) await sleep(50);
    pool.summons.queued();
    expect(await pool.until(id, 'succeeded')).toMatchObject({ attempt: 2, worker: other.worker });
    finish.resolve();
    await sleep(50);
    expect(pool.given).toEqual([made('other')]);
    expect(await pool.log(id)).not.toContain('grave');
  });

  it('gives names later when no registry answers now', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    pool.registry = 'down';
    const made = { repository: 'r.example/app', digest: 'sha256:1', tags: ['1'] };
    await using _ = pool.agent(await pool.worker('one'), 1, async () => ({
      result: {},
      publications: [made],
    }));
    const id = await pool.add('a', 'work', { spec: { tags: ['r.example/app:1'] } });
    await pool.until(id, 'publishing');
    await expect.poll(() => pool.refused).toBe(1);
    pool.registry = 'up';
    await database.db.updateTable('jobs').set({ due_at: 1 }).where('state', '=', 'publishing').execute();
    await pool.publisher.resume();
    expect((await pool.jobs.get(id)).state).toBe('succeeded');
    expect(pool.given).toEqual([made]);
  });

  it('gives no names that a job did not ask for, whatever its worker says', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    const worker = await pool.worker('liar');
    const id = await pool.add('a', 'work', { spec: { tags: ['r.example/app:1'] } });
    const queue = pool.queue();
    const [claim] = await queue.claim(worker, 1);
    const publications = [{ repository: 'r.example/other', digest: 'sha256:1', tags: ['1'] }];
    const lie = queue.end(claim!, worker, { state: 'succeeded', result: {}, publications });
    await expect(lie).rejects.toThrow('does not ask for the name r.example/other:1');
    expect((await pool.jobs.get(id)).state).toBe('running');
    expect(pool.given).toEqual([]);
  });

  it('has done again what its worker was at before it got another lease', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    const before = await pool.worker('one');
    const id = await pool.add('a', 'work');
    expect(await pool.queue().claim(before, 1)).toHaveLength(1);
    await pool.worker('one');
    expect(await pool.claims.releaseOrphans()).toBe(1);
    expect((await pool.jobs.get(id)).state).toBe('delayed');
    expect(await pool.claims.releaseOrphans()).toBe(0);
  });

  it('keeps so much of a log without lines, and no more', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    await using _ = pool.agent(await pool.worker('one'), 1, async ({ log }) => {
      for (let i = 0; i < 1000; i++) await log(Buffer.alloc(10_000, 'x'));
      return DONE;
    });
    const id = await pool.add('a', 'chatty');
    await pool.until(id, 'succeeded');
    const text = await pool.log(id);
    expect(text.slice(0, MAX_LOG)).toBe('x'.repeat(MAX_LOG));
    expect(text.slice(MAX_LOG)).toBe(`\n[the log is longer than ${MAX_LOG} bytes: the rest is not kept]\n`);
  });

  it('lets others read a log while it is written', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    const go = Promise.withResolvers<void>();
    await using _ = pool.agent(await pool.worker('one'), 1, async ({ log }) => {
      await log('one\n');
      await go.promise;
      await log('two\n');
      return DONE;
    });
    const id = await pool.add('a', 'talks');
    const stateOf = async () => (await pool.jobs.get(id)).state;
    const { signal } = new AbortController();
    let text = '';
    for await (const bytes of followLog({ logs: pool.logs, stateOf }, id, {
      from: 0,
      follow: true,
      signal,
    })) {
      text += Buffer.from(bytes).toString();
      if (text === 'one\n') go.resolve();
    }
    expect(text).toBe('one\ntwo\n');
  });

  it('gives back what it is at when it stops', async () => {
    await using database = await create();
    const pool = await Pool.open(database.db);
    const agent = pool.agent(await pool.worker('one'), 1, untilEnded);
    const id = await pool.add('a', 'work');
    await pool.until(id, 'running');
    await agent[Symbol.asyncDispose]();
    expect((await pool.jobs.get(id)).state).toBe('delayed');
  });
});
