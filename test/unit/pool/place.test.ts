import { describe, expect, it } from 'vitest';
import { type Candidate, parseConstraint, place, type Wish } from '#pool/scheduler/place.ts';

function worker(name: string, changes: Partial<Candidate> = {}): Candidate {
  const base = {
    state: 'ready',
    platforms: ['linux/amd64'],
    labels: {},
    cpus: 2,
    load: 0,
    image: 0,
  } as const;
  return { name, ...base, ...changes };
}

const chosen = (candidates: Candidate[], wish: Wish = {}, strategy: 'spread' | 'binpack' = 'spread') =>
  place(candidates, wish, strategy).name;

describe('a container goes', () => {
  it('to whoever has the least to do for its size', () => {
    expect(chosen([worker('a', { load: 3 }), worker('b', { load: 2 })])).toBe('b');
    expect(chosen([worker('a', { load: 3, cpus: 8 }), worker('b', { load: 2 })])).toBe('a');
  });

  it('to the image where that costs less than a container, by name otherwise', () => {
    expect(chosen([worker('a'), worker('b', { image: 1 })])).toBe('b');
    expect(chosen([worker('a'), worker('b', { image: 1, load: 1 })])).toBe('a');
    expect(chosen([worker('b'), worker('a')])).toBe('a');
  });

  it('to whoever has most of its layers, of those with as much to do', () => {
    const all = [worker('a'), worker('b', { image: 0.25 }), worker('c', { image: 0.75 })];
    expect(chosen(all)).toBe('c');
    expect(chosen(all, {}, 'binpack')).toBe('c');
    expect(chosen([...all, worker('d', { image: 1, load: 1 })])).toBe('c');
  });

  it('to the fullest that is not full, where they are to be packed', () => {
    const all = [worker('a', { load: 3 }), worker('b', { load: 5 }), worker('c', { load: 64 })];
    expect(chosen(all, {}, 'binpack')).toBe('b');
    expect(chosen([all[2]!], {}, 'binpack')).toBe('c');
  });

  it('where its constraints and its platform let it', () => {
    const all = [worker('a', { labels: { zone: 'x' } }), worker('b', { platforms: ['linux/arm64/v8'] })];
    const constraints = (text: string) => ({ constraints: [parseConstraint(text)!] });
    expect(chosen(all, constraints('zone!=x'))).toBe('b');
    expect(chosen(all, constraints('zone==x'))).toBe('a');
    expect(chosen(all, constraints('node==b'))).toBe('b');
    for (const platform of ['linux/arm64', 'linux/arm64/v8', 'arm64', 'linux/aarch64']) {
      expect(chosen(all, { platform })).toBe('b');
    }
    const emulating = worker('e', { emulates: ['linux/arm64', 'linux/s390x'] });
    expect(chosen([emulating, ...all], { platform: 'linux/arm64' })).toBe('b');
    expect(chosen([emulating, ...all], { platform: 'linux/s390x' })).toBe('e');
    const drained = worker('b', { platforms: ['linux/arm64'], state: 'draining' });
    expect(chosen([emulating, drained], { platform: 'linux/arm64' })).toBe('e');
    expect(() => chosen(all, { platform: 'linux/s390x' })).toThrow(
      'no worker of the pool fits: platform linux/s390x',
    );
  });

  it('to none that is being drained, unless what it needs is there', () => {
    const all = [worker('a', { state: 'draining' }), worker('b', { load: 9 })];
    expect(chosen(all)).toBe('b');
    expect(chosen(all, { pinned: [{ worker: 'a', because: 'volume v' }] })).toBe('a');
  });

  it('nowhere where what it needs is apart, away, or where it may not be', () => {
    const all = [worker('a'), worker('b')];
    const pin = (name: string, because: string) => ({ worker: name, because });
    expect(() => chosen(all, { pinned: [pin('a', 'network n'), pin('b', 'volume v')] })).toThrow(
      'network n is on worker a, volume v is on worker b',
    );
    expect(() => chosen(all, { pinned: [pin('c', 'volume v')] })).toThrow(
      'worker c, which has volume v, is away',
    );
    const constraints = [parseConstraint('worker==b')!];
    expect(() => chosen(all, { constraints, pinned: [pin('a', 'volume v')] })).toThrow(
      'is not what was asked for',
    );
  });
});

it('reads constraints', () => {
  expect(parseConstraint('zone==a')).toEqual({ key: 'zone', operator: '==', value: 'a' });
  expect(parseConstraint(' zone != a b ')).toEqual({ key: 'zone', operator: '!=', value: 'a b' });
  for (const text of ['zone', '==a', 'zone=', 'zone=a', '']) expect(parseConstraint(text)).toBeUndefined();
});
