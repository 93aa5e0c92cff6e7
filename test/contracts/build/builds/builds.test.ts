import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostPlatform } from '#oci/platform.ts';
import type { OpContext } from '#worker/build/solve/op-driver.ts';
import { failing, gate, source, step } from '../solver/fake-drivers.ts';
import { Recorder, session } from '../solver/solver-world.ts';
import { BuildWorld, resultOf, watched } from './build-world.ts';

const { signal } = new AbortController();

let world: BuildWorld;
beforeEach(async () => {
  world = await BuildWorld.open();
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  expect(world.solving.cache.held).toBe(0);
  expect(world.reported).toEqual([]);
});

describe('a build', () => {
  it('runs its frontend, solves what it says, and hands it over', async () => {
    world.frontend = async (bridge) => {
      const options = { platform: hostPlatform(), mode: 'default', name: 'load metadata for x' } as const;
      await Promise.all([bridge.resolveImage('x', options), bridge.resolveImage('x', options)]);
      return resultOf(step('one'));
    };
    const build = world.begin();
    expect(await build.done).toEqual({ 'image.name': 'x' });
    expect(world.resolved).toBe(1);
    expect(world.exported[0]!.refs.get('')).toMatchObject({ kind: 'layers', layers: { length: 2 } });
    const heard = await watched(build);
    expect(heard.shown).toMatchObject({ 'load metadata for x': 'done', one: 'done' });
  });

  it('solves a graph that it was given', async () => {
    await world.begin({ frontend: undefined, definition: step('given') }).done;
    expect(world.solving.fake.ran).toContain('given');
  });

  it('comes to nothing at once when that is what it was given', async () => {
    await world.begin({ frontend: undefined, definition: null }).done;
    expect([...world.exported[0]!.refs]).toEqual([['', undefined]]);
  });

  it('does what a frontend on the client asks for, and waits for what it comes to', async () => {
    const build = world.begin({ frontend: undefined });
    world.frontend = async (bridge) => {
      await bridge.solve(step('asked for'));
      return resultOf(step('returned'));
    };
    const result = await build.runFrontend('dockerfile.v0', { options: {}, inputs: {} });
    await expect(build.runFrontend('other', { options: {}, inputs: {} })).rejects.toMatchObject({
      kind: 'unsupported',
    });
    expect(world.solving.fake.ran).not.toContain('returned');
    build.finish(result);
    await build.done;
    expect(world.solving.fake.ran).toEqual(expect.arrayContaining(['asked for', 'returned']));
  });

  it('fails as its frontend does', async () => {
    const build = world.begin({ frontend: undefined });
    build.fail(new Error('the client gave up'));
    await expect(build.done).rejects.toThrow('the client gave up');
    expect((await world.history.find(build.ref))?.error?.message).toBe('the client gave up');
  });

  it('states how it was made, when that is asked for', async () => {
    world.frontend = async () => resultOf(step('one'));
    await world.begin({ frontendOptions: { 'attest:provenance': 'mode=max', 'attest:sbom': '' } }).done;
    const stated = world.exported[0]!.attestations!.get('')!;
    expect(stated.map((one) => one.predicateType)).toEqual([
      'https://spdx.dev/Document',
      'https://slsa.dev/provenance/v1',
    ]);
  });

  it('does nothing for an exporter that there is not, or an entitlement that is not given', async () => {
    world.frontend = async () => resultOf(step('one'));
    await expect(world.begin({ exporters: [{ type: 'flat', attrs: {} }] }).done).rejects.toThrow(
      'no exporter',
    );
    expect(() => world.begin({ entitlements: ['security.insecure'] })).toThrow('not allowed');
    expect(world.solving.fake.ran).toEqual([]);
  });

  it('tells its steps what they may use', async () => {
    const seen: unknown[] = [];
    world.solving.fake.behaviours.set('one', ({ limits }) => void seen.push(limits.resources));
    world.frontend = async () => resultOf(step('one'));
    await world.begin({ frontendOptions: { memory: '67108864', memswap: '-1', cpusetcpus: '0-1' } }).done;
    expect(seen).toEqual([{ memory: 67_108_864, memorySwap: -1, cpusetCpus: '0-1' }]);
    expect(() => world.begin({ frontendOptions: { memory: '64m' } })).toThrow('invalid value for memory');
    expect(() => world.begin({ frontendOptions: { cpusetmems: '../0' } })).toThrow('invalid value');
  });

  it('is one of its name', async () => {
    const running = gate();
    world.solving.fake.behaviours.set('slow', running.behaviour);
    world.frontend = async () => resultOf(step('slow'));
    const build = world.begin({ ref: 'mine' });
    await running.began;
    expect(() => world.begin({ ref: 'mine' })).toThrow(expect.objectContaining({ kind: 'conflict' }));
    running.open();
    await build.done;
    await world.begin({ ref: 'mine' }).done;
  });

  it('waits for its turn', async () => {
    await using narrow = await BuildWorld.open({ maxConcurrent: 1 });
    const running = gate();
    narrow.solving.fake.behaviours.set('slow', running.behaviour);
    let begun = 0;
    narrow.frontend = async () => {
      begun++;
      return resultOf(step('slow'));
    };
    const builds = [narrow.begin(), narrow.begin()];
    const internal = narrow.begin({ frontend: undefined, internal: true, exporters: [] });
    await running.began;
    internal.finish(resultOf(undefined));
    await internal.done;
    expect(begun).toBe(1);
    running.open();
    await Promise.all(builds.map((build) => build.done));
    expect(begun).toBe(2);
  });
});

describe('the end of a build', () => {
  it('comes when it is cancelled, at each point', async () => {
    const running = gate();
    world.solving.fake.behaviours.set('slow', running.behaviour);
    world.frontend = async () => resultOf(step('slow'));
    const early = world.begin();
    early.cancel();
    await expect(early.done).rejects.toMatchObject({ kind: 'canceled' });
    const late = world.begin();
    await running.began;
    late.cancel();
    await expect(late.done).rejects.toMatchObject({ kind: 'canceled', message: 'context canceled' });
    expect(world.solving.fake.ended).toEqual(['slow']);
    expect((await watched(late)).shown.slow).toBe('context canceled');
    const waiting = world.begin({ frontend: undefined });
    waiting.cancel();
    await expect(waiting.done).rejects.toMatchObject({ kind: 'canceled' });
    expect((await world.history.find(late.ref))?.error).toEqual({
      kind: 'canceled',
      message: 'context canceled',
    });
  });

  it('comes when its client goes', async () => {
    const running = gate();
    world.solving.fake.behaviours.set('slow', running.behaviour);
    world.frontend = async () => resultOf(step('slow'));
    const build = world.begin();
    await running.began;
    world.sessions.get('client')!.close();
    await expect(build.done).rejects.toMatchObject({ kind: 'canceled' });
    await expect(world.begin({ sessionId: 'nobody' }).done).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('does not come for the others', async () => {
    world.sessions.set('other', session('other', 'files'));
    const running = gate();
    world.solving.fake.behaviours.set('slow', running.behaviour);
    world.frontend = async () => resultOf(step('slow'));
    const one = world.begin();
    const two = world.begin({ sessionId: 'other' });
    const heard = watched(two);
    await running.began;
    for (let at = 0; at < 10; at++) await new Promise((resolve) => setImmediate(resolve));
    world.sessions.get('client')!.close();
    await expect(one.done).rejects.toMatchObject({ kind: 'canceled' });
    running.open();
    await two.done;
    expect((await heard).shown.slow).toBe('done');
    expect(world.solving.fake.ran.filter((name) => name === 'slow')).toHaveLength(1);
  });

  it('says which step failed', async () => {
    world.solving.fake.behaviours.set('bad', failing('it broke'));
    world.frontend = async () => resultOf(step('top', [step('bad'), source('docker-image://other')]));
    const build = world.begin();
    await expect(build.done).rejects.toMatchObject({
      message: 'it broke',
      vertex: { metadata: { name: 'bad' } },
    });
    const record = (await world.history.find(build.ref))!;
    expect(record.steps.find((one) => one.name === 'bad')?.error).toBe('it broke');
  });
});

describe('watching a build', () => {
  it('may begin before it does, and after it has ended', async () => {
    world.frontend = async () => resultOf(step('one'));
    const early = world.builds.find('mine', { signal }).then(watched);
    await new Promise((resolve) => setImmediate(resolve));
    await world.begin({ ref: 'mine' }).done;
    const late = await watched(await world.builds.find('mine', { signal }));
    expect((await early).events).toEqual(late.events);
    const gone = AbortSignal.timeout(20);
    await expect(world.builds.find('other', { signal: gone })).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('tells much of what commands write, and the end of what it leaves out when they fail', async () => {
    const line = (at: number) => Buffer.from(`${String(at).padStart(1023, '.')}\n`);
    const chatter = async (info: OpContext, fails: boolean) => {
      for (let at = 0; at < 3_000; at++)
        await info.progress.log({ vertex: '', stream: 'stdout', data: line(at), timestamp: new Date() });
      if (fails) failing('it broke')(info, []);
    };
    world.solving.fake.behaviours.set('chatty', (info) => chatter(info, false));
    world.solving.fake.behaviours.set('bad', (info) => chatter(info, true));
    world.frontend = async () => resultOf(step('bad', [step('chatty')]));
    const build = world.begin();
    const live = watched(build);
    await expect(build.done).rejects.toThrow('it broke');
    const heard = await live;
    const clipped = heard.text('chatty');
    expect(clipped).toContain('[output clipped, log limit 2MiB reached]');
    expect(clipped.length).toBe(2 * 1024 * 1024 + 42);
    expect(clipped.startsWith(line(0).toString())).toBe(true);
    expect(heard.text('bad').endsWith(line(2_999).toString())).toBe(true);
    expect((await watched(build)).text('bad')).toBe(heard.text('bad'));
    const replayed = new Recorder();
    await world.history.replay(build.ref, replayed, { signal });
    expect(replayed.text('bad')).toBe(heard.text('bad'));
    expect(replayed.events).toEqual(heard.events);
  });

  it('ends when who watches does', async () => {
    const controller = new AbortController();
    const build = world.begin({ frontend: undefined });
    const watching = build.watch(new Recorder(), { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(watching).rejects.toThrow('enough');
    build.cancel();
    await expect(build.done).rejects.toMatchObject({ kind: 'canceled' });
  });
});
