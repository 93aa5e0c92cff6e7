import { describe, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import type { LayersRef } from '#worker/build/solve/ref.ts';
import { base, source, step } from './fake-drivers.ts';
import { SolverWorld } from './solver-world.ts';

const context = source('local://context');

/** COPY of a client's files, and a command on them. */
const copied = (name = 'copy') => step(name, [base, context], { content: true });

describe('a step that was done before', () => {
  it('is found by its definition, and nothing below it is touched', async () => {
    const world = new SolverWorld();
    const top = step('top', [step('middle', [step('bottom')])]);
    await using first = world.job().job;
    await first.solve(top);
    world.fake.ran.length = 0;
    const { job, heard } = world.job();
    await job.solve(top);
    await job[Symbol.asyncDispose]();
    expect(world.fake.ran).toEqual([]);
    // Nobody had to look at those below.
    expect(heard.shown).toMatchObject({ top: 'cached', middle: 'cached', bottom: 'cached' });
    const last = heard.events.filter((event) => event.name === 'top').at(-1)!;
    expect([last.started, last.completed].every((at) => at instanceof Date)).toBe(true);
  });

  it('is found by what its inputs have come to', async () => {
    const world = new SolverWorld();
    world.fake.layerOf = (name) => digestOf(name.startsWith('same') ? 'same' : name);
    await using first = world.job().job;
    await first.solve(step('top', [step('same, said so')]));
    world.fake.ran.length = 0;
    await using second = world.job().job;
    await second.solve(step('top', [step('same, said otherwise')]));
    expect(world.fake.ran).toEqual(['docker-image://base', 'same, said otherwise']);
  });

  it('is found by the contents of files, whichever client has them', async () => {
    const world = new SolverWorld();
    await using first = world.job({ files: 'v1' }).job;
    await first.solve(step('build', [copied()]));
    world.fake.ran.length = 0;
    const { job, heard } = world.job({ files: 'v1' });
    await job.solve(step('build', [copied()]));
    await job[Symbol.asyncDispose]();
    expect(world.fake.ran).toEqual(['local://context']);
    expect(heard.shown).toMatchObject({ build: 'cached', copy: 'cached', 'local://context': 'done' });
    await using third = world.job({ files: 'v2' }).job;
    await third.solve(step('build', [copied()]));
    expect(world.fake.ran.slice(-2)).toEqual(['copy', 'build']);
  });

  it('costs no hash of contents when its definition is enough', async () => {
    const world = new SolverWorld();
    const top = step('copy from', [base, step('stage')], { content: true });
    await using first = world.job().job;
    await first.solve(top);
    const before = world.fake.hashed;
    await using second = world.job().job;
    await second.solve(top);
    expect(world.fake.hashed).toBe(before);
  });

  it('keeps one lookup for a whole chain that is not known', async () => {
    const world = new SolverWorld();
    let top = step('nothing 0');
    for (let at = 1; at < 50; at++) top = step(`nothing ${at}`, [top]);
    await using first = world.job().job;
    await first.solve(top);
    world.cache.asked = 0;
    await using second = world.job().job;
    await second.solve(step('nothing more', [top]));
    // All definitions at once; the new step by its content, and once more when it is its turn.
    expect(world.cache.asked).toBe(3);
  });
});

describe('a step that is not to be looked up', () => {
  it('is done, and what stands on it goes by what it comes to', async () => {
    const world = new SolverWorld();
    const graph = (ignoreCache: boolean) => step('top', [step('fresh', [step('below')], { ignoreCache })]);
    await using first = world.job().job;
    await first.solve(graph(false));
    world.fake.ran.length = 0;
    await using second = world.job().job;
    await second.solve(graph(true));
    expect(world.fake.ran).toEqual(['fresh']);
    world.fake.layerOf = (name) => digestOf(`${name} today`);
    await using third = world.job().job;
    const ref = (await third.solve(graph(true))) as LayersRef;
    expect(ref.layers.slice(2).map((layer) => layer.diffId)).toEqual(
      ['fresh today', 'top today'].map((name) => digestOf(name)),
    );
    // What came of it is what is found from now on.
    await using fourth = world.job().job;
    expect(await fourth.solve(graph(false))).toEqual(ref);
  });
});

describe('a record whose layers are lost', () => {
  it('is done again, with what it stands on', async () => {
    const world = new SolverWorld();
    const top = step('top', [step('middle')]);
    await using first = world.job().job;
    await first.solve(top);
    world.fake.ran.length = 0;
    for (const { id } of world.cache.records.values()) world.cache.lost.add(id);
    await using second = world.job().job;
    await second.solve(top);
    expect(world.fake.ran).toEqual(['docker-image://base', 'middle', 'top']);
  });

  it('does not lead to a step on other layers than those it is kept under', async () => {
    const world = new SolverWorld();
    const middle = step('middle');
    await using first = world.job().job;
    await first.solve(middle);
    for (const { id } of world.cache.records.values()) world.cache.lost.add(id);
    world.fake.layerOf = (name) => digestOf(`${name} again`);
    await using second = world.job().job;
    const again = await second.solve(step('top', [middle]));
    world.fake.ran.length = 0;
    await using third = world.job().job;
    expect(await third.solve(step('top', [middle]))).toEqual(again);
    expect(world.fake.ran).toEqual([]);
  });
});

it('gives up what its refs stand on when the build ends, and not before', async () => {
  const world = new SolverWorld();
  const { job } = world.job({ files: 'v1' });
  await job.solve(step('build', [copied()]));
  expect(world.fake.synced).toBe(1);
  expect(world.cache.held).toBe(2);
  await job[Symbol.asyncDispose]();
  expect(world.fake.synced).toBe(0);
  expect(world.cache.held).toBe(0);
});
