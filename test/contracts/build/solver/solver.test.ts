import { describe, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import type { LayersRef } from '#worker/build/solve/ref.ts';
import { failing, gate, source, step } from './fake-drivers.ts';
import { SolverWorld } from './solver-world.ts';

describe('solving a graph', () => {
  it('does what was asked for, inputs first, each vertex once, and nothing else', async () => {
    const world = new SolverWorld();
    const shared = step('shared');
    const top = step('top', [step('left', [shared]), step('right', [shared])]);
    step('never', [shared]);
    await using job = world.job().job;
    const ref = (await job.solve(top)) as LayersRef;
    expect(ref.layers.map((layer) => layer.diffId)).toEqual(
      ['docker-image://base', 'shared', 'left', 'top'].map((name) => digestOf(name)),
    );
    await job.solve(shared);
    expect(world.fake.ran[0]).toBe('docker-image://base');
    expect(world.fake.ran.toSorted()).toEqual(['docker-image://base', 'left', 'right', 'shared', 'top']);
  });

  it('dates the layers that it makes, and those alone', async () => {
    const world = new SolverWorld();
    await using job = world.job().job;
    const { layers } = (await job.solve(step('one'))) as LayersRef;
    expect(layers.map((layer) => layer.createdAt instanceof Date)).toEqual([false, true]);
    await using later = world.job().job;
    expect(await later.solve(step('one'))).toEqual({ kind: 'layers', layers });
    const again = (await later.solve(step('two', [step('one')]))) as LayersRef;
    expect(again.layers[1]).toEqual(layers[1]);
  });

  it('runs independent steps at once, as many as it may', async () => {
    const world = new SolverWorld({ parallelism: 3 });
    const steps = Array.from({ length: 8 }, (_unused, at) => step(`step ${at}`));
    const gates = steps.map((_step, at) => {
      const one = gate();
      world.fake.behaviours.set(`step ${at}`, one.behaviour);
      return one;
    });
    await using job = world.job().job;
    const solved = job.solve(step('all', steps));
    await Promise.all(gates.slice(0, 3).map(({ began }) => began));
    expect(world.fake.running).toBe(3);
    for (const { open } of gates) open();
    await solved;
    expect(world.fake.most).toBe(3);
  });

  it('says beforehand which steps are expected to be done, and nothing of those that are known', async () => {
    const world = new SolverWorld();
    let before = 0;
    world.fake.behaviours.set('below', () => {
      before = world.fake.expected;
    });
    const top = step('top', [step('below')]);
    await using first = world.job().job;
    await first.solve(top);
    expect(before).toBe(2);
    await using again = world.job().job;
    await again.solve(top);
    expect(world.fake.expected).toBe(2);
  });

  it('does not count sources, and identifies them all at once', async () => {
    const world = new SolverWorld({ parallelism: 1 });
    const sources = Array.from({ length: 6 }, (_unused, at) => source(`docker-image://${at}`));
    const gates = sources.map((_source, at) => {
      const one = gate();
      world.fake.behaviours.set(`identify docker-image://${at}`, one.behaviour);
      return one;
    });
    await using job = world.job().job;
    const solved = job.solve(step('all', sources));
    await Promise.all(gates.map(({ began }) => began));
    for (const { open } of gates) open();
    await solved;
  });

  it('gives the builds that wait for a step their turns one after the other', async () => {
    const world = new SolverWorld({ parallelism: 1 });
    const first = gate();
    world.fake.behaviours.set('a0', first.behaviour);
    const greedy = world.job();
    const modest = world.job();
    const many = ['a0', 'a1', 'a2', 'a3'].map((name) => greedy.job.solve(step(name)));
    await first.began;
    const one = modest.job.solve(step('b'));
    await new Promise((resolve) => setImmediate(resolve));
    first.open();
    await Promise.all([...many, one]);
    expect(world.fake.ran.indexOf('b')).toBeLessThan(world.fake.ran.indexOf('a2'));
    await greedy.job[Symbol.asyncDispose]();
    await modest.job[Symbol.asyncDispose]();
  });

  it('answers any of several outputs, and says so when there is none of that number', async () => {
    const world = new SolverWorld();
    await using job = world.job().job;
    const two = step('two');
    expect(await job.solve({ ...two, output: 1 })).toEqual({ kind: 'layers', layers: [] });
    await expect(job.solve({ ...two, output: 2 })).rejects.toMatchObject({ kind: 'invalid' });
    await expect(job.solve(step('on it', [{ ...two, output: 7 }]))).rejects.toThrow('two has no output 7');
  });

  it('refuses what a build was not given', async () => {
    const world = new SolverWorld();
    await using refused = world.job().job;
    const host = step('host', undefined, { network: 'host' });
    await expect(refused.solve(step('top', [host]))).rejects.toMatchObject({
      kind: 'forbidden',
      message: 'failed to load LLB: network.host is not allowed',
      vertex: { metadata: { name: 'host' } },
    });
    await using allowed = world.job({ entitlements: new Set(['network.host'] as const) }).job;
    await allowed.solve(host);
    expect(world.fake.ran).toContain('host');
  });
});

describe('a graph that is large', () => {
  it('may be 10,000 vertices deep', { timeout: 120_000 }, async () => {
    const world = new SolverWorld();
    let top = step('nothing 0');
    for (let at = 1; at < 10_000; at++) top = step(`nothing ${at}`, [top]);
    await using job = world.job().job;
    await job.solve(top);
    expect(world.fake.ran).toHaveLength(10_001);
    await using later = world.job().job;
    await later.solve(top);
    expect(world.fake.ran).toHaveLength(10_001);
  });

  it('may be 10,000 vertices wide', { timeout: 120_000 }, async () => {
    const world = new SolverWorld();
    const all = Array.from({ length: 10_000 }, (_unused, at) => step(`nothing ${at}`));
    await using job = world.job().job;
    await job.solve(step('top', all));
    expect(world.fake.ran).toHaveLength(10_002);
  });

  it('may have more ways through it than could be counted', async () => {
    const world = new SolverWorld();
    let left = step('left 0');
    let right = step('right 0');
    for (let at = 1; at < 200; at++) {
      [left, right] = [step(`nothing left ${at}`, [left, right]), step(`nothing right ${at}`, [right, left])];
    }
    await using job = world.job().job;
    await job.solve(step('top', [left, right]));
    expect(world.fake.ran).toHaveLength(402);
    await using later = world.job().job;
    await later.solve(step('nothing other', [left, right]));
    expect(world.fake.ran).toHaveLength(403);
  });
});

describe('a step that fails', () => {
  it('names itself, keeps what was finished, and lets nothing follow', async () => {
    const world = new SolverWorld();
    world.fake.behaviours.set('bad', failing('it is broken'));
    const { job, heard } = world.job();
    await expect(job.solve(step('top', [step('bad', [step('good')])]))).rejects.toMatchObject({
      name: 'SolveError',
      kind: 'invalid',
      message: 'it is broken',
      vertex: { metadata: { name: 'bad' } },
    });
    await job[Symbol.asyncDispose]();
    expect(heard.shown).toMatchObject({ good: 'done', bad: 'it is broken', top: 'known' });
    world.fake.ran.length = 0;
    world.fake.behaviours.clear();
    await using again = world.job().job;
    await again.solve(step('top', [step('bad', [step('good')])]));
    expect(world.fake.ran).toEqual(['bad', 'top']);
  });

  it('ends its siblings cleanly before its build is over', async () => {
    const world = new SolverWorld();
    const sibling = gate();
    world.fake.behaviours.set('sibling', sibling.behaviour);
    world.fake.behaviours.set('bad', async () => {
      await sibling.began;
      failing('broken')(undefined as never, []);
    });
    const { job, heard } = world.job();
    await expect(job.solve(step('top', [step('sibling'), step('bad')]))).rejects.toThrow('broken');
    expect(world.fake.ended).not.toContain('sibling');
    await job[Symbol.asyncDispose]();
    expect(world.fake.ended).toContain('sibling');
    expect(heard.shown.sibling).toBe('context canceled');
    expect(world.cache.held).toBe(0);
  });

  it('fails a source in the same way', async () => {
    const world = new SolverWorld();
    world.fake.behaviours.set('identify docker-image://gone', failing('no such image'));
    const { job, heard } = world.job();
    await expect(job.solve(step('top', [source('docker-image://gone')]))).rejects.toMatchObject({
      message: 'failed to load cache key: no such image',
      vertex: { metadata: { name: 'docker-image://gone' } },
    });
    expect(heard.shown['docker-image://gone']).toBe('no such image');
    await job[Symbol.asyncDispose]();
  });
});
