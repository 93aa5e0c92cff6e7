import { expect, it } from 'vitest';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { Claimant } from '#pool/jobs/job.ts';
import { StepClaimsRepository, type StepEnd, type StepTry } from '#pool/steps/step-claims-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { onEachPoolDatabase } from '../../database/pool-databases.ts';

const LONG = 600_000;
const offer = { platforms: ['linux/amd64'], labels: {}, cpus: 2, memory: 1 };

const attempt = (name: string, key = 'key', scope = 'cache'): StepTry => ({ scope, key, attempt: name });

interface Reporter {
  readonly steps: StepClaimsRepository;
  readonly by: Claimant;
}

/** Tells of one try; answers whether somebody waits for it. */
async function finish({ steps, by }: Reporter, { attempt }: StepTry): Promise<boolean> {
  return (await steps.report(by.worker, { finished: [attempt], ended: [] }, () => {})).includes(attempt);
}

async function end({ steps, by }: Reporter, { attempt }: StepTry, outcome: StepEnd): Promise<boolean> {
  let isWaited = false;
  const onEnd = () => {
    isWaited = true;
  };
  await steps.report(by.worker, { finished: [], ended: [{ attempt, outcome }] }, onEnd);
  return isWaited;
}

async function worker(db: PoolDatabase, name: string, duration = LONG) {
  return await new WorkerLeasesRepository(db).acquire({ name, address: '', offer }, duration);
}

/** As if that had happened so many milliseconds earlier. */
async function age(db: PoolDatabase, by: { claimed?: number; finished?: number }): Promise<void> {
  const { claimed = 0, finished = 0 } = by;
  await db
    .updateTable('step_claims')
    .set((row) => ({
      claimed_at: row('claimed_at', '-', claimed),
      finished_at: row('finished_at', '-', finished),
    }))
    .execute();
}

onEachPoolDatabase('claims of steps', (create) => {
  it('are one worker’s for a step of a cache, however many ask', async () => {
    await using pool = await create();
    const steps = new StepClaimsRepository(pool.db);
    const workers = [];
    for (const name of ['a', 'b', 'c', 'd']) workers.push(await worker(pool.db, name));
    const taken = await Promise.all(workers.map((by, at) => steps.take(by, attempt(`${at}`))));
    expect(taken.filter(Boolean)).toHaveLength(1);
    const holder = taken.indexOf('new');
    expect(await steps.state(attempt('other'))).toEqual({
      state: 'claimed',
      worker: 'abcd'[holder],
      attempt: `${holder}`,
    });
    const other = workers[(holder + 1) % 4]!;
    expect(await steps.take(other, attempt('x', 'another'))).toBe('new');
    expect(await steps.take(other, attempt('y', 'key', 'other'))).toBe('new');
  });

  it('end: who waits hears how, and another may have the step', async () => {
    await using pool = await create();
    const steps = new StepClaimsRepository(pool.db);
    const [a, b] = [await worker(pool.db, 'a'), await worker(pool.db, 'b')];
    for (const [outcome, state] of [
      ['done', 'alone'],
      ['failed', 'alone'],
      ['left', 'free'],
    ] as const) {
      const step = attempt(`try that is ${outcome}`);
      expect(await steps.take(a, step)).toBeDefined();
      expect(await steps.take(b, attempt('b'))).toBeUndefined();
      expect(await steps.state(step)).toMatchObject({ state: 'claimed' });
      expect(await finish({ steps, by: a }, step)).toBe(true);
      expect(await end({ steps, by: a }, step, outcome)).toBe(true);
      expect(await steps.state(step)).toEqual({ state });
      // It does not end what is another's by now.
      expect(await steps.take(b, attempt(`b ${outcome}`))).toBe('again');
      expect(await end({ steps, by: a }, step, 'done')).toBe(false);
      expect(await steps.state(step)).toMatchObject({ state: 'claimed', worker: 'b' });
      await end({ steps, by: b }, attempt(`b ${outcome}`), 'left');
    }
  });

  it('are remembered for a while: who looked for a step before does so again', async () => {
    await using pool = await create();
    const steps = new StepClaimsRepository(pool.db);
    const [a, b] = [await worker(pool.db, 'a'), await worker(pool.db, 'b')];
    expect(await steps.take(a, attempt('1'))).toBe('new');
    expect(await finish({ steps, by: a }, attempt('1'))).toBe(false);
    expect(await end({ steps, by: a }, attempt('1'), 'done')).toBe(false);
    expect(await steps.take(b, attempt('2'))).toBe('again');
    await end({ steps, by: b }, attempt('2'), 'done');
    await steps.take(a, attempt('3', 'one that lasts'));
    await steps.prune();
    expect(await pool.db.selectFrom('step_claims').select('attempt').execute()).toHaveLength(2);
    await pool.db.updateTable('step_claims').set({ ended_at: 1 }).where('attempt', '=', '2').execute();
    await steps.prune();
    expect(await pool.db.selectFrom('step_claims').select('attempt').execute()).toEqual([{ attempt: '3' }]);
  });

  it('are told of by the worker that has them alone', async () => {
    await using pool = await create();
    const steps = new StepClaimsRepository(pool.db);
    const [a, b] = [await worker(pool.db, 'a'), await worker(pool.db, 'b')];
    const step = attempt('a');
    await steps.take(a, step);
    await steps.state(step);
    // Who waits for it knows its name, and could have it done in another's place.
    expect(await finish({ steps, by: b }, step)).toBe(false);
    expect(await end({ steps, by: b }, step, 'done')).toBe(false);
    expect(await end({ steps, by: b }, step, 'left')).toBe(false);
    expect(await steps.state(step)).toEqual({ state: 'claimed', worker: 'a', attempt: 'a' });
    expect(await steps.take(b, attempt('b'))).toBeUndefined();
    expect(await end({ steps, by: a }, step, 'done')).toBe(true);
  });

  it('are over with the lease of their worker', async () => {
    await using pool = await create();
    const steps = new StepClaimsRepository(pool.db);
    const leases = new WorkerLeasesRepository(pool.db);
    const b = await worker(pool.db, 'b');
    // It ran out, and nobody has said so yet.
    await steps.take(await worker(pool.db, 'a', -1), attempt('overdue'));
    expect(await steps.state(attempt('overdue'))).toEqual({ state: 'free' });
    expect(await steps.take(b, attempt('b'))).toBeDefined();
    await end({ steps, by: b }, attempt('b'), 'left');
    // The worker began anew, and does not know of what it had.
    await steps.take(await worker(pool.db, 'a'), attempt('before'));
    expect(await steps.take(b, attempt('b'))).toBeUndefined();
    await worker(pool.db, 'a');
    expect(await steps.take(b, attempt('b'))).toBeDefined();
    await end({ steps, by: b }, attempt('b'), 'left');
    // It was given up.
    await steps.take(await worker(pool.db, 'c', -1), attempt('lost'));
    await leases.expire(async () => {});
    expect(await steps.take(b, attempt('b'))).toBeDefined();
  });

  it('are a worker’s own again, whatever it tried before', async () => {
    await using pool = await create();
    const steps = new StepClaimsRepository(pool.db);
    const a = await worker(pool.db, 'a');
    expect(await steps.take(a, attempt('1'))).toBeDefined();
    expect(await steps.take(a, attempt('2'))).toBeDefined();
    expect(await end({ steps, by: a }, attempt('1'), 'left')).toBe(false);
    expect(await steps.state(attempt('2'))).toMatchObject({ state: 'claimed' });
  });

  it('are not waited for longer than the step would take, once it is done', async () => {
    await using pool = await create();
    const steps = new StepClaimsRepository(pool.db);
    const a = await worker(pool.db, 'a');
    await steps.take(a, attempt('1'));
    await age(pool.db, { claimed: 60_000 });
    await finish({ steps, by: a }, attempt('1'));
    expect(await steps.state(attempt('1'))).toMatchObject({ state: 'claimed' });
    await age(pool.db, { claimed: 30_000, finished: 30_000 });
    expect(await steps.state(attempt('1'))).toMatchObject({ state: 'claimed' });
    await age(pool.db, { claimed: 40_000, finished: 40_000 });
    expect(await steps.state(attempt('1'))).toEqual({ state: 'alone' });
  });
});
