import { pino } from 'pino';
import { expect, it } from 'vitest';
import type { PoolDatabase } from '#database/pool/open.ts';
import { BuildTurns, type Turn } from '#pool/gateway/build-turns.ts';
import { BuildTurnsRepository } from '#pool/gateway/build-turns-repository.ts';
import type { PoolContents } from '#pool/gateway/pool-contents.ts';
import type { LivingWorker, Workers } from '#pool/gateway/workers.ts';
import { onEachPoolDatabase, type TestPool } from '../../database/pool-databases.ts';

const log = pino({ enabled: false });

function living(name: string, builds = 1, state: 'ready' | 'draining' = 'ready'): LivingWorker {
  const offer = { platforms: ['linux/amd64'], labels: {}, cpus: 2, memory: 1, builds };
  return {
    name,
    state,
    offer,
    worker: name,
    epoch: 1,
    address: '',
    headers: () => ({}),
    connect: () => undefined as never,
  };
}

/** A gateway, as far as turns go. Its workers can be changed. */
function gateway(db: PoolDatabase, workers: LivingWorker[], options: { keepEvery?: number } = {}) {
  const rows = new BuildTurnsRepository(db);
  const ports = {
    rows,
    workers: { living: async () => workers } as unknown as Workers,
    contents: { refresh: async () => {}, has: () => false } as unknown as PoolContents,
    log,
  };
  return { rows, turns: new BuildTurns(ports, { tenant: '', ...options }) };
}

/** Asks for a turn, and notes what it hears. */
function ask(turns: BuildTurns, options: { project?: string; pinned?: string; exempt?: boolean } = {}) {
  const positions: number[] = [];
  const leaving = new AbortController();
  const { project = '', pinned, exempt = false } = options;
  const turn = turns.take({
    project,
    exempt,
    wish: pinned === undefined ? {} : { pinned },
    signal: leaving.signal,
    onPosition: (position) => positions.push(position),
  });
  turn.catch(() => {});
  return { positions, turn, leave: () => leaving.abort() };
}

onEachPoolDatabase('turns of builds', (create, dialect) => {
  /** SQLite is for one gateway. */
  const another = async (pool: TestPool) => (dialect === 'sqlite' ? pool.db : await pool.another());

  it('are one line for all gateways, told of each place in it', async () => {
    await using pool = await create();
    const workers = [living('a')];
    await using one = gateway(pool.db, workers).turns;
    await using other = gateway(await another(pool), workers).turns;
    const first = await ask(one).turn;
    const second = ask(other);
    await expect.poll(() => second.positions).toEqual([1]);
    const third = ask(one);
    await expect.poll(() => third.positions).toEqual([2]);
    await first[Symbol.asyncDispose]();
    const next = await second.turn;
    expect(next.worker).toBe('a');
    await expect.poll(() => third.positions).toEqual([2, 1]);
    await next[Symbol.asyncDispose]();
    await (await third.turn)[Symbol.asyncDispose]();
    expect(await gateway(pool.db, workers).rows.counts()).toEqual({ waiting: 0, running: 0 });
  });

  it('never give away more room than there is, however many ask at once', async () => {
    await using pool = await create();
    const workers = [living('a', 2), living('b', 1)];
    const gateways = [gateway(pool.db, workers), gateway(await another(pool), workers)];
    const busy = new Map<string, number>();
    const all = Promise.withResolvers<void>();
    const build = async (turn: Turn) => {
      busy.set(turn.worker, (busy.get(turn.worker) ?? 0) + 1);
      for (const { name, offer } of workers) expect(busy.get(name) ?? 0).toBeLessThanOrEqual(offer.builds!);
      // The first ones end when all room is taken.
      if (busy.get('a') === 2 && busy.get('b') === 1) all.resolve();
      await all.promise;
      busy.set(turn.worker, busy.get(turn.worker)! - 1);
      await turn[Symbol.asyncDispose]();
    };
    await Promise.all(
      Array.from({ length: 12 }, async (_, i) => await build(await ask(gateways[i % 2]!.turns).turn)),
    );
    for (const { turns } of gateways) await turns[Symbol.asyncDispose]();
  });

  it('end when the client leaves, whoever waits behind it goes on', async () => {
    await using pool = await create();
    await using turns = gateway(pool.db, [living('a')]).turns;
    const first = await ask(turns).turn;
    const second = ask(turns);
    const third = ask(turns);
    await expect.poll(() => third.positions).toEqual([2]);
    second.leave();
    await expect(second.turn).rejects.toMatchObject({ kind: 'canceled' });
    await expect.poll(() => third.positions).toEqual([2, 1]);
    await first[Symbol.asyncDispose]();
    await (await third.turn)[Symbol.asyncDispose]();
  });

  it('wait for a pool that has no worker, and not for one that is gone with a session', async () => {
    await using pool = await create();
    const workers: LivingWorker[] = [];
    await using turns = gateway(pool.db, workers).turns;
    const waiting = ask(turns);
    await expect.poll(() => waiting.positions).toEqual([1]);
    await expect(ask(turns, { pinned: 'gone' }).turn).rejects.toThrow('worker gone, which has the session');
    workers.push(living('a'));
    expect((await waiting.turn).worker).toBe('a');
  });

  it('come back to the worker that built the project', async () => {
    await using pool = await create();
    const workers = ['a', 'b', 'c'].map((name) => living(name, 4));
    await using turns = gateway(pool.db, workers).turns;
    const home = await ask(turns, { project: 'p' }).turn;
    await home[Symbol.asyncDispose]();
    const others = workers.filter(({ name }) => name !== home.worker);
    const stranger = await ask(turns, { project: 'p', pinned: others[0]!.name }).turn;
    await stranger[Symbol.asyncDispose]();
    // It was the last one, whoever is first in the project's own order.
    expect((await ask(turns, { project: 'p' }).turn).worker).toBe(others[0]!.name);
  });

  it('of a gateway that died are given to others', async () => {
    await using pool = await create();
    const { rows } = gateway(pool.db, []);
    const dead = await rows.enter({ tenant: '', project: '', session: undefined, wish: {}, exempt: false });
    await rows.round([{ name: 'a', state: 'ready', platforms: [], slots: 1 }], () => 0);
    await using turns = gateway(pool.db, [living('a')]).turns;
    const waiting = ask(turns);
    await expect.poll(() => waiting.positions).toEqual([1]);
    await pool.db.updateTable('build_turns').set({ seen_at: 0 }).where('id', '=', dead).execute();
    expect((await waiting.turn).worker).toBe('a');
  });

  it('do not count what others wait for', async () => {
    await using pool = await create();
    await using turns = gateway(pool.db, [living('a')]).turns;
    const first = await ask(turns).turn;
    const linked = await ask(turns, { pinned: 'a', exempt: true }).turn;
    expect([first.worker, linked.worker]).toEqual(['a', 'a']);
  });

  it('are known again that were forgotten while they ran, until they are over', async () => {
    await using pool = await create();
    await using turns = gateway(pool.db, [living('a')], { keepEvery: 20 }).turns;
    const turn = await ask(turns, { project: 'p' }).turn;
    await pool.db.deleteFrom('build_turns').execute();
    const known = () => pool.db.selectFrom('build_turns').select(['worker', 'project']).execute();
    await expect.poll(known).toEqual([{ worker: 'a', project: 'p' }]);
    const next = ask(turns);
    await expect.poll(() => next.positions).toEqual([1]);
    await turn[Symbol.asyncDispose]();
    await (await next.turn)[Symbol.asyncDispose]();
    await expect.poll(known).toEqual([]);
  });
});
