import { describe, expect, it } from 'vitest';
import { admit, type BuildTurn, type BuildWorker, inTurn, type Warmth } from '#pool/scheduler/admit.ts';

const COLD: Warmth = { builtAt: () => undefined, images: () => 0 };

function turn(id: number, changes: Partial<BuildTurn> = {}): BuildTurn {
  return { id, tenant: '', project: '', wish: {}, worker: undefined, exempt: false, ...changes };
}

function worker(name: string, changes: Partial<BuildWorker> = {}): BuildWorker {
  return { name, state: 'ready', platforms: ['linux/amd64'], slots: 2, jobs: 0, ...changes };
}

const given = (turns: BuildTurn[], workers: BuildWorker[], warmth = COLD) =>
  Object.fromEntries(admit(turns, workers, warmth));

describe('builds get workers', () => {
  it('as long as there is room, in the order in which they came', () => {
    const waiting = [1, 2, 3].map((id) => turn(id));
    expect(given(waiting, [worker('a')])).toEqual({ 1: 'a', 2: 'a' });
    const running = turn(4, { worker: 'a' });
    expect(given([...waiting, running], [worker('a')])).toEqual({ 1: 'a' });
    expect(given(waiting, [worker('a', { jobs: 1 })])).toEqual({ 1: 'a' });
    expect(given(waiting, [])).toEqual({});
  });

  it('where they were built last, then where their images are, then where there is the least to do', () => {
    const workers = [worker('a'), worker('b'), worker('c')];
    const builtAt = (_turn: unknown, name: string) => ({ a: 5, b: 9 })[name];
    const one = [turn(1, { project: 'p' })];
    expect(given(one, workers, { ...COLD, builtAt })).toEqual({ 1: 'b' });
    const images = (_turn: unknown, name: string) => (name === 'c' ? 1 : 0);
    expect(given(one, workers, { ...COLD, images })).toEqual({ 1: 'c' });
    const busy = [...one, turn(2, { worker: 'a' }), turn(3, { worker: 'c' })];
    expect(given(busy, workers)).toEqual({ 1: 'b' });
  });

  it('elsewhere when the warm one has no room, or much more to do', () => {
    const builtAt = (_turn: unknown, name: string) => (name === 'a' ? 1 : undefined);
    const warm = { ...COLD, builtAt };
    const one = turn(1, { project: 'p' });
    const full = [turn(2, { worker: 'a' }), turn(3, { worker: 'a' })];
    expect(given([one, ...full], [worker('a'), worker('b')], warm)).toEqual({ 1: 'b' });
    const roomy = [worker('a', { slots: 9 }), worker('b', { slots: 9 })];
    expect(given([one, ...full], roomy, warm)).toEqual({ 1: 'a' });
    expect(given([one, ...full, turn(4, { worker: 'a' })], roomy, warm)).toEqual({ 1: 'b' });
  });

  it('that need not emulate their platform, if there is one', () => {
    const arm = worker('arm', { platforms: ['linux/arm64/v8'], slots: 1 });
    const waiting = [1, 2].map((id) => turn(id, { wish: { platforms: ['linux/arm64'] } }));
    expect(given(waiting, [worker('a'), arm])).toEqual({ 1: 'arm' });
    expect(given(waiting, [worker('a')])).toEqual({ 1: 'a', 2: 'a' });
    const emulating = worker('b', { emulates: ['linux/arm64'] });
    expect(given(waiting, [worker('a'), emulating])).toEqual({ 1: 'b', 2: 'b' });
    expect(given(waiting, [emulating, arm])).toEqual({ 1: 'arm' });
  });

  it('that run all of their platforms, if there is one', () => {
    const wish = { platforms: ['linux/amd64', 'linux/arm64'] };
    const arm = worker('arm', { platforms: ['linux/arm64'] });
    const both = worker('both', { emulates: ['linux/arm64'] });
    expect(given([turn(1, { wish })], [worker('a'), arm, both])).toEqual({ 1: 'both' });
    expect(Object.keys(given([turn(1, { wish })], [worker('a'), arm]))).toEqual(['1']);
  });

  it('where their sessions are, and nowhere else', () => {
    const pinned = turn(1, { wish: { pinned: 'b' } });
    expect(given([pinned], [worker('a'), worker('b')])).toEqual({ 1: 'b' });
    expect(given([pinned], [worker('a'), worker('b', { slots: 1, jobs: 1 })])).toEqual({});
    expect(given([{ ...pinned, exempt: true }], [worker('b', { slots: 1, jobs: 1 })])).toEqual({ 1: 'b' });
  });

  it('never one that is being drained, unless their sessions are there', () => {
    const draining = worker('a', { state: 'draining' });
    expect(given([turn(1)], [draining])).toEqual({});
    expect(given([turn(1, { wish: { pinned: 'a' } })], [draining])).toEqual({ 1: 'a' });
  });

  it('by turns of their tenants: whoever has the fewest goes first', () => {
    const many = [1, 2, 3].map((id) => turn(id, { tenant: 'many' }));
    const one = turn(4, { tenant: 'one' });
    expect(inTurn([...many, one]).map(({ id }) => id)).toEqual([1, 4, 2, 3]);
    const running = turn(5, { tenant: 'one', worker: 'a' });
    expect(inTurn([...many, one, running]).map(({ id }) => id)).toEqual([1, 2, 4, 3]);
  });

  it('the same one for a project each time, whoever comes and goes', () => {
    const workers = ['a', 'b', 'c', 'd'].map((name) => worker(name));
    const of = (project: string, among: BuildWorker[]) => given([turn(1, { project })], among)[1]!;
    const projects = Array.from({ length: 40 }, (_, i) => `project ${i}`);
    expect(new Set(projects.map((project) => of(project, workers))).size).toBe(4);
    for (const project of projects) {
      const home = of(project, workers);
      const fewer = workers.filter(({ name }) => name === home || name !== 'd');
      expect(of(project, fewer)).toBe(home);
    }
  });
});
