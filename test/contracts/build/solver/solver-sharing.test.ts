import { describe, expect, it } from 'vitest';
import { base, failing, gate, source, step } from './fake-drivers.ts';
import { SolverWorld } from './solver-world.ts';

const context = source('local://context');
const build = step('build', [step('copy', [base, context], { content: true })]);

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('builds that want the same at once', () => {
  it('do it once, and both see it', async () => {
    const world = new SolverWorld();
    const running = gate();
    world.fake.behaviours.set('slow', async (info) => {
      await info.progress.log({
        vertex: '',
        stream: 'stdout',
        data: Buffer.from('early '),
        timestamp: new Date(),
      });
      await running.behaviour(info, []);
      await info.progress.log({
        vertex: '',
        stream: 'stdout',
        data: Buffer.from('late'),
        timestamp: new Date(),
      });
    });
    const one = world.job();
    const two = world.job();
    const first = one.job.solve(step('slow'));
    const info = await running.began;
    info.progress.status({ vertex: '', id: 'x', name: 'x', current: 1, total: 2, timestamp: new Date() });
    const second = two.job.solve(step('slow'));
    await settle();
    expect(two.heard.shown.slow).toBe('started');
    running.open();
    expect(await second).toEqual(await first);
    expect(world.fake.ran.filter((name) => name === 'slow')).toHaveLength(1);
    for (const { heard } of [one, two]) {
      expect(heard.shown.slow).toBe('done');
      expect(heard.text('slow')).toBe('early late');
      expect(heard.statuses).toMatchObject([{ id: 'x', current: 1 }]);
    }
    await one.job[Symbol.asyncDispose]();
    await two.job[Symbol.asyncDispose]();
    expect(world.cache.held).toBe(0);
  });

  it('share what follows two copies of the same files by different clients', async () => {
    const world = new SolverWorld();
    const running = gate();
    world.fake.behaviours.set('build', running.behaviour);
    const one = world.job({ files: 'v1' });
    const two = world.job({ files: 'v1' });
    const other = world.job({ files: 'v2' });
    const solving = [one, two, other].map(({ job }) => job.solve(build));
    await running.began;
    await settle();
    running.open();
    await Promise.all(solving);
    expect(world.fake.ran.filter((name) => name === 'build')).toHaveLength(2);
    expect(world.fake.ran.filter((name) => name === 'copy')).toHaveLength(2);
    expect(world.fake.ran.filter((name) => name === 'local://context')).toHaveLength(3);
    for (const { job } of [one, two, other]) await job[Symbol.asyncDispose]();
    expect(world.fake.synced).toBe(0);
  });

  it.each([
    ['docker-image://some', 1],
    ['docker-image+blob://some', 1],
    ['local://some', 2],
    ['oci-layout://some', 2],
    ['oci-layout+blob://some', 2],
  ])('ask what %s is as often as it is of different clients', async (identifier, times) => {
    const world = new SolverWorld();
    const asked = gate();
    world.fake.behaviours.set(`identify ${identifier}`, asked.behaviour);
    const jobs = [world.job(), world.job()];
    const solving = jobs.map(({ job }) => job.solve(source(identifier)));
    await asked.began;
    await settle();
    asked.open();
    await Promise.all(solving);
    expect(world.fake.identified).toHaveLength(times);
    for (const { job } of jobs) await job[Symbol.asyncDispose]();
  });

  it('never do a step twice, however they meet', async () => {
    const world = new SolverWorld({ parallelism: 2 });
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const name of names) {
      world.fake.behaviours.set(name, async () => {
        for (let at = 0; at < Math.random() * 4; at++) await settle();
      });
    }
    const graph = names.reduce((below, name) => step(name, [below]), base);
    await Promise.all(
      Array.from({ length: 40 }, async () => {
        for (let at = 0; at < Math.random() * 20; at++) await settle();
        const { job } = world.job();
        await job.solve(graph);
        await job[Symbol.asyncDispose]();
      }),
    );
    expect(world.fake.ran.filter((name) => names.includes(name))).toEqual(names);
    expect(world.cache.held).toBe(0);
  });
});

describe('leaving', () => {
  it('does not stop a step that another build wants', async () => {
    const world = new SolverWorld();
    const running = gate();
    world.fake.behaviours.set('slow', running.behaviour);
    const one = world.job({ files: 'v1' });
    const two = world.job({ files: 'v1' });
    const slow = step('slow', [base, context], { content: true });
    const first = one.job.solve(slow);
    const info = await running.began;
    const second = two.job.solve(slow);
    await settle();
    one.cancel();
    await expect(first).rejects.toMatchObject({ kind: 'canceled' });
    await one.job[Symbol.asyncDispose]();
    // Its files stay while the step reads them.
    expect(world.fake.synced).toBe(2);
    expect(info.signal.aborted).toBe(false);
    expect(info.session.id).toBe(two.session.id);
    running.open();
    await second;
    expect(world.fake.ran.filter((name) => name === 'slow')).toHaveLength(1);
    expect(one.heard.shown.slow).toBe('context canceled');
    await two.job[Symbol.asyncDispose]();
    expect([world.fake.synced, world.cache.held]).toEqual([0, 0]);
  });

  it('stops it when nobody is left, and who comes then begins anew', async () => {
    const world = new SolverWorld();
    const running = gate();
    world.fake.behaviours.set('slow', running.behaviour);
    const one = world.job();
    const first = one.job.solve(step('slow'));
    const info = await running.began;
    one.cancel();
    await expect(first).rejects.toMatchObject({ kind: 'canceled' });
    expect(info.signal.aborted).toBe(true);
    world.fake.behaviours.delete('slow');
    await using two = world.job().job;
    await two.solve(step('slow'));
    await one.job[Symbol.asyncDispose]();
    expect(world.fake.ended).toHaveLength(2);
  });

  it('frees the turn of a step that waited for it', async () => {
    const world = new SolverWorld({ parallelism: 1 });
    const running = gate();
    world.fake.behaviours.set('slow', running.behaviour);
    const one = world.job();
    const two = world.job();
    const three = world.job();
    const first = one.job.solve(step('slow'));
    await running.began;
    const second = two.job.solve(step('second'));
    const third = three.job.solve(step('third'));
    await settle();
    two.cancel();
    await expect(second).rejects.toMatchObject({ kind: 'canceled' });
    running.open();
    await Promise.all([first, third]);
    expect(world.fake.ran).not.toContain('second');
    for (const { job } of [one, two, three]) await job[Symbol.asyncDispose]();
  });

  it('asks the client that is still there', async () => {
    const world = new SolverWorld();
    const running = gate();
    const files: string[] = [];
    world.fake.behaviours.set('secret', async (info) => {
      await running.behaviour(info, []);
      files.push(Buffer.from(await info.session.secret('files', { signal: info.signal })).toString());
    });
    const one = world.job({ files: 'of one' });
    const two = world.job({ files: 'of two' });
    const solving = [one.job.solve(step('secret')), two.job.solve(step('secret'))];
    await running.began;
    await settle();
    one.session.close();
    running.open();
    await Promise.all(solving);
    expect(files).toEqual(['of two']);
    for (const { job } of [one, two]) await job[Symbol.asyncDispose]();
  });

  it('fails both when what they share fails, and the next build tries anew', async () => {
    const world = new SolverWorld();
    const running = gate();
    world.fake.behaviours.set('bad', async (info) => {
      await running.behaviour(info, []);
      failing('broken')(info, []);
    });
    const one = world.job();
    const two = world.job();
    const solving = [one.job.solve(step('bad')), two.job.solve(step('bad'))];
    await running.began;
    await settle();
    running.open();
    for (const solved of solving) await expect(solved).rejects.toThrow('broken');
    world.fake.behaviours.clear();
    await using three = world.job().job;
    await three.solve(step('bad'));
    for (const { job } of [one, two]) await job[Symbol.asyncDispose]();
  });
});
