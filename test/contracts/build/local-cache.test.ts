import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chainId } from '#oci/chain-id.ts';
import { LocalCache } from '#worker/build/cache/local-cache.ts';
import { prune } from '#worker/build/cache/prune.ts';
import { type Edge, vertex } from '#worker/build/llb/vertex.ts';
import type { LayersRef } from '#worker/build/solve/ref.ts';
import { Solver } from '#worker/build/solve/solver.ts';
import { DriversWorld, execOf, SOURCE } from './drivers-world.ts';
import { Recorder, session } from './solver/solver-world.ts';

/** Real steps, layers and rows. */
let world: DriversWorld;
let cache: LocalCache;
let solver: Solver;
beforeEach(async () => {
  world = await DriversWorld.open();
  cache = new LocalCache({ database: world.database, layers: world.images.layers });
  await cache.reconcile();
  solver = new Solver({ drivers: world.drivers.ops, cache }, { parallelism: 2 });
});
afterEach(() => world[Symbol.asyncDispose]());

const base: Edge = {
  vertex: vertex(SOURCE('docker-image://docker.io/library/busybox:latest'), [], {
    metadata: { name: 'base' },
  }),
  output: 0,
};

function run(command: string, input: Edge = base, ignoreCache = false): Edge {
  const metadata = { name: command, ignoreCache };
  return { vertex: vertex(execOf(command), [input], { metadata }), output: 0 };
}

const chain = () => run('echo two > /two', run('echo one > /one'));

async function build(edge: Edge): Promise<{ ref: LayersRef; shown: Record<string, string> }> {
  const heard = new Recorder();
  await using job = solver.job({
    owner: 'test',
    session: session('test'),
    progress: heard,
    limits: world.limits,
    signal: new AbortController().signal,
  });
  const ref = (await job.solve(edge)) as LayersRef;
  expect(await world.read(ref, 'one')).toBe('one\n');
  return { ref, shown: heard.shown };
}

function open() {
  const heard = new Recorder();
  const controller = new AbortController();
  const options = { owner: 'test', session: session('test'), progress: heard, limits: world.limits };
  const job = solver.job({ ...options, signal: controller.signal });
  return { job, heard, cancel: () => controller.abort() };
}

const everything = () => prune([cache], {}, async () => 0);
const retained = () => world.images.layers.users('build-record:');

describe('the cache of a worker', () => {
  it('knows steps of an earlier process, with their dates', async () => {
    const first = await build(chain());
    expect(first.shown).toMatchObject({ 'echo one > /one': 'done', 'echo two > /two': 'done' });
    cache = new LocalCache({ database: world.database, layers: world.images.layers });
    await cache.reconcile();
    solver = new Solver({ drivers: world.drivers.ops, cache }, { parallelism: 2 });
    const second = await build(chain());
    expect(second.shown).toMatchObject({
      base: 'done',
      'echo one > /one': 'cached',
      'echo two > /two': 'cached',
    });
    expect(second.ref).toEqual(first.ref);
    const usage = await cache.usage();
    expect(usage.map(({ description, kind, inUse }) => [description, kind, inUse])).toEqual(
      expect.arrayContaining([
        ['echo one > /one', 'exec', false],
        ['echo two > /two', 'exec', false],
      ]),
    );
    expect(usage.every(({ bytes }) => bytes === 4)).toBe(true);
    expect(usage.find(({ description }) => description === 'echo two > /two')!.usageCount).toBe(1);
  });

  it('keeps its layers from all who would take them, until it is pruned', async () => {
    await build(chain());
    await world.images.layers.prune();
    expect((await build(chain())).shown['echo two > /two']).toBe('cached');
    const { removed, bytes } = await everything();
    expect(removed).toHaveLength(2);
    expect(bytes).toBe(8);
    expect(await retained()).toEqual([]);
    expect((await build(chain())).shown['echo one > /one']).toBe('done');
  });

  it('does a step again whose layers are lost', async () => {
    const { ref } = await build(chain());
    await world.images.rows.layers.forget([chainId(ref.layers.map((layer) => layer.diffId))]);
    const again = await build(chain());
    expect(again.shown).toMatchObject({ 'echo one > /one': 'cached', 'echo two > /two': 'done' });
  });

  it('forgets what was replaced, but nothing that a build stands on', async () => {
    const dated = (ignoreCache: boolean) =>
      run('echo one > /one; cat /proc/uptime > /now', base, ignoreCache);
    const progress = new Recorder();
    const options = { owner: 'held', session: session('held'), progress, limits: world.limits };
    const job = solver.job({ ...options, signal: new AbortController().signal });
    const held = (await job.solve(dated(false))) as LayersRef;
    await build(dated(true));
    expect((await everything()).removed).toHaveLength(1);
    expect(await world.read(held, 'one')).toBe('one\n');
    expect(await cache.usage()).toMatchObject([{ inUse: true }]);
    await job[Symbol.asyncDispose]();
    expect(await cache.usage()).toEqual([]);
    expect(await retained()).toEqual([]);
  });

  it('gives back what a killed worker retained and never recorded', async () => {
    const { ref } = await build(run('echo one > /one'));
    await world.images.layers.retain(chainId(ref.layers.map((layer) => layer.diffId)), 'build-record:lost');
    await cache.reconcile();
    expect((await retained()).map(({ user }) => user)).not.toContain('build-record:lost');
    expect(await retained()).toHaveLength(1);
  });

  it('forgets what was used least recently first, as far as it has to', async () => {
    await build(run('echo one > /one'));
    await build(run('echo one > /one; echo 1234567890 > /ten'));
    await build(run('echo one > /one; echo 1 > /last'));
    const left = async () =>
      (await cache.usage()).map(({ description }) => description.split(' ').at(-1)).sort();
    await prune([cache], { maxUsedBytes: 100 }, async () => 0);
    expect(await left()).toHaveLength(3);
    await prune([cache], { unusedSince: new Date(0) }, async () => 0);
    expect(await left()).toHaveLength(3);
    await prune([cache], { maxUsedBytes: 22 }, async () => 0);
    expect(await left()).toEqual(['/last', '/ten']);
    await prune([cache], { minFreeBytes: 1000 }, async () => 1000);
    expect(await left()).toHaveLength(2);
    await prune([cache], { minFreeBytes: 1000, reservedBytes: 6 }, async () => 990);
    expect(await left()).toEqual(['/last']);
    await prune([cache], { matches: ({ kind }) => kind === 'source' }, async () => 0);
    expect(await left()).toEqual(['/last']);
  });
});

describe('a command that several builds wait for', () => {
  const slow = () => run('echo begun; while [ ! -e /go ]; do usleep 10000; done; echo one > /one');
  const begun = (heard: Recorder) =>
    expect.poll(() => heard.logs.length, { timeout: 20_000 }).toBeGreaterThan(0);

  it('goes on until the last of them leaves, and is gone then', async () => {
    const [one, two] = [open(), open()];
    const solving = [one.job.solve(slow()), two.job.solve(slow())];
    for (const solved of solving) solved.catch(() => undefined);
    await begun(one.heard);
    await begun(two.heard);
    one.cancel();
    await expect(solving[0]).rejects.toMatchObject({ kind: 'canceled' });
    await one.job[Symbol.asyncDispose]();
    expect((await world.leftovers()).length).toBeGreaterThan(0);
    two.cancel();
    await expect(solving[1]).rejects.toMatchObject({ kind: 'canceled' });
    await two.job[Symbol.asyncDispose]();
    expect(await world.leftovers()).toEqual([]);
    expect(await cache.usage()).toEqual([]);
  });

  it('takes its siblings along when it fails, and keeps what was finished', async () => {
    const { job, heard } = open();
    const good = run('echo one > /one');
    const bad = run('until ls /proc/*/cmdline >/dev/null; do :; done; exit 3', good);
    const all = { vertex: vertex(execOf('true'), [slow(), bad], { metadata: { name: 'all' } }), output: 0 };
    await expect(job.solve(all)).rejects.toMatchObject({
      name: 'SolveError',
      vertex: { metadata: { name: expect.stringContaining('exit 3') } },
      cause: { exitCode: 3 },
    });
    await job[Symbol.asyncDispose]();
    expect(await world.leftovers()).toEqual([]);
    expect(heard.shown['echo one > /one']).toBe('done');
    expect((await build(good)).shown['echo one > /one']).toBe('cached');
  });
});
