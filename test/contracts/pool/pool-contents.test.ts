import { pino } from 'pino';
import { expect, it } from 'vitest';
import type { PoolDatabase } from '#database/pool/open.ts';
import { PoolContents } from '#pool/gateway/pool-contents.ts';
import type { WorkerClient } from '#pool/gateway/worker-client.ts';
import { WorkerContentsRepository } from '#pool/gateway/worker-contents-repository.ts';
import type { LivingWorker, Workers } from '#pool/gateway/workers.ts';
import type { WorkerContent } from '#pool/workers/worker-content.ts';
import { onEachPoolDatabase } from '../../database/pool-databases.ts';

const log = pino({ enabled: false });
const ID = (hex: string) => `sha256:${hex.repeat(64)}`;

type Has = Record<string, { names: string[]; layers?: string[]; taggedAt?: number }>;

const contentOf = (has: Has): WorkerContent => ({
  images: Object.entries(has).map(([hex, { names, layers = [hex], taggedAt = 0 }]) => ({
    id: ID(hex),
    names: names.map((name) => ({ name, taggedAt })),
    layers,
  })),
});

/** A gateway, as far as images go, before workers that have what `has` says and count how often they are asked. */
function gateway(db: PoolDatabase, has: Record<string, Has>, beforeAnswer = async () => {}) {
  const living = Object.keys(has).map((name) => ({ name, state: 'ready' }) as LivingWorker);
  const asked: string[] = [];
  const client = {
    async ask({ name }: LivingWorker) {
      asked.push(name);
      const body = contentOf(has[name]!);
      await beforeAnswer();
      return { status: 200, body };
    },
  } as unknown as WorkerClient;
  const workers = { living: async () => living } as unknown as Workers;
  const rows = new WorkerContentsRepository(db);
  const contents = new PoolContents({ rows, workers, client, log }, { tenant: '' });
  return { contents, living, asked, rows };
}

onEachPoolDatabase('what workers have', (create, dialect) => {
  it('is asked of each once, and read from the database from then on, by all gateways', async () => {
    await using pool = await create();
    const has = { a: { 1: { names: ['app:latest'] } }, b: {} };
    const one = gateway(pool.db, has);
    await one.contents.refresh();
    await one.contents.refresh();
    expect(one.asked.toSorted()).toEqual(['a', 'b']);
    const other = gateway(dialect === 'sqlite' ? pool.db : await pool.another(), has);
    await other.contents.refresh();
    expect(other.asked).toEqual([]);
    for (const { contents, living } of [one, other]) {
      expect(contents.find('app', living)).toEqual({ id: ID('1'), workers: ['a'] });
      expect(contents.find('docker.io/library/app:latest', living)).toMatchObject({ workers: ['a'] });
      expect(contents.find(ID('1').slice(7, 19), living)).toMatchObject({ workers: ['a'] });
      expect(contents.find('other', living)).toBeUndefined();
    }
  });

  it('means by a name what it was given to last, by the pool’s clock', async () => {
    await using pool = await create();
    const ahead = Date.now() + 600_000;
    const has: Record<string, Has> = {
      a: { 1: { names: ['app:latest'], taggedAt: ahead } },
      b: { 1: { names: ['app:latest'], taggedAt: 1 } },
    };
    const { contents, living } = gateway(pool.db, has);
    await contents.refresh();
    expect(contents.find('app', living)).toEqual({ id: ID('1'), workers: ['a', 'b'] });
    // A worker whose clock is ten minutes behind the other's.
    has.b = { 1: { names: [] }, 2: { names: ['app:latest'], taggedAt: 2 } };
    await contents.touch(living[1]!);
    await contents.refresh();
    expect(contents.find('app', living)).toEqual({ id: ID('2'), workers: ['b'] });
    expect(contents.find(ID('1'), living)).toMatchObject({ workers: ['a', 'b'] });
  });

  it('is never what it was before', async () => {
    await using pool = await create();
    const has: Record<string, Has> = { a: { 1: { names: ['app:latest'] } } };
    await gateway(pool.db, has).contents.refresh();
    const late = Promise.withResolvers<void>();
    const slow = gateway(pool.db, has, () => late.promise);
    const overtaken = slow.contents.touch(slow.living[0]!);
    await expect.poll(() => slow.asked).toHaveLength(1);
    has.a = { 2: { names: ['app:latest'] } };
    const quick = gateway(pool.db, has);
    await quick.contents.touch(quick.living[0]!);
    late.resolve();
    await overtaken;
    await quick.contents.refresh();
    expect(quick.contents.find('app', quick.living)).toMatchObject({ id: ID('2') });
    expect(slow.asked.length).toBeGreaterThan(1);
  });

  it('tells which part of an image is there already', async () => {
    await using pool = await create();
    const has: Record<string, Has> = {
      a: { 1: { names: ['new:1'], layers: ['x', 'y', 'z', 'new'] } },
      b: { 2: { names: ['old:1'], layers: ['x', 'y', 'z', 'old'] } },
      c: { 3: { names: ['else:1'], layers: ['y', 'z'] } },
    };
    const { contents } = gateway(pool.db, has);
    await contents.refresh();
    expect(['a', 'b', 'c'].map((worker) => contents.share(worker, ID('1')))).toEqual([1, 0.75, 0]);
    expect(contents.has('b', 'old:1')).toBe(true);
    expect(contents.has('a', 'old:1')).toBe(false);
  });
});
