import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { unavailable } from '#errors/errors.ts';
import { type Attempt, JobFailure, type Made } from '#pool/agent/job-runner.ts';
import { followLog } from '#pool/jobs/follow-log.ts';
import { onEachPoolDatabase } from '../../database/pool-databases.ts';

import { AgentPool, MAX_LOG } from './agent-pool.ts';

const DONE: Made = { result: {}, publications: [] };

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
    const pool = await AgentPool.open(database.db);
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
    const pool = await AgentPool.open(database.db);
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
    const pool = await AgentPool.open(database.db);
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
    const pool = await AgentPool.open(database.db);
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

  it('asks for nothing more than once a second while there is nothing to do', async () => {
    await using db = await create();
    const pool = await AgentPool.open(db.db);
    const queue = pool.queue();
    const asked: string[] = [];
    const counted = new Proxy(queue, {
      get: (target, name) => {
        const method = Reflect.get(target, name);
        return (...args: unknown[]) => {
          if (name !== 'news') asked.push(String(name));
          return method.apply(target, args);
        };
      },
    });
    await using _agent = pool.agent(await pool.worker('w'), 4, async () => DONE, counted);
    const began = performance.now();
    await sleep(3_000);
    expect(asked).toContain('claim');
    // It begins with what it may have had before.
    expect(asked.length).toBeLessThanOrEqual(2 + (performance.now() - began) / 1000);
  });

  it('starts a tenant’s single job within its share, though another has 500', async () => {
    await using database = await create();
    const pool = await AgentPool.open(database.db);
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
    const pool = await AgentPool.open(database.db);
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
    const pool = await AgentPool.open(database.db);
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
    const pool = await AgentPool.open(database.db);
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
    const pool = await AgentPool.open(database.db);
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
    const pool = await AgentPool.open(database.db);
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
    const pool = await AgentPool.open(database.db);
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
    const pool = await AgentPool.open(database.db);
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
    const pool = await AgentPool.open(database.db);
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
    const pool = await AgentPool.open(database.db);
    const agent = pool.agent(await pool.worker('one'), 1, untilEnded);
    const id = await pool.add('a', 'work');
    await pool.until(id, 'running');
    await agent[Symbol.asyncDispose]();
    expect((await pool.jobs.get(id)).state).toBe('delayed');
  });
});
