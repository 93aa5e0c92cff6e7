import { describe, expect, it } from 'vitest';
import { SharedBuckets } from '#registry/limits/shared-buckets.ts';

const SECOND = 1000;
const rate = { count: 5, period: 10 * SECOND };
const start = Date.now();

/** Takes `times` at a moment; how many were allowed. */
function burst(buckets: SharedBuckets, key: string, times: number, at: number): number {
  let allowed = 0;
  for (let i = 0; i < times; i++) if (buckets.take(key, rate, start + at).allowed) allowed++;
  return allowed;
}

describe('a bucket', () => {
  it('has so many at once, and fills up with time', () => {
    const buckets = new SharedBuckets({ size: 100 });
    expect(burst(buckets, 'a', 20, 0)).toBe(5);
    expect(burst(buckets, 'a', 20, 1.9 * SECOND)).toBe(0);
    expect(burst(buckets, 'a', 20, 2 * SECOND)).toBe(1);
    expect(burst(buckets, 'a', 20, 6.1 * SECOND)).toBe(2);
    expect(burst(buckets, 'a', 20, 60 * SECOND)).toBe(5);
    expect(burst(buckets, 'b', 20, 0)).toBe(5);
  });

  it('says what is left, and when there is more', () => {
    const buckets = new SharedBuckets({ size: 100 });
    const taken = Array.from({ length: 6 }, () => buckets.take('a', rate, start));
    expect(taken.map(({ remaining }) => remaining)).toEqual([4, 3, 2, 1, 0, 0]);
    expect(taken.map(({ wait }) => wait)).toEqual([0, 0, 0, 0, 0, 2 * SECOND]);
    expect(buckets.take('a', rate, start + SECOND)).toEqual({ allowed: false, remaining: 0, wait: SECOND });
  });

  it.each([
    { count: 30_000, period: 60_000 },
    { count: 7, period: 1000 },
    { count: 100, period: 6 * 3_600_000 },
    { count: 10_000, period: 1000 },
  ])('keeps to $count in $period ms', (exact) => {
    const buckets = new SharedBuckets({ size: 100 });
    let allowed = 0;
    while (allowed <= exact.count && buckets.take('a', exact, start).allowed) allowed++;
    expect(allowed).toBe(exact.count);
  });

  it('is shared by all who have its memory', () => {
    const one = new SharedBuckets({ size: 100 });
    const other = new SharedBuckets({ memory: one.memory });
    expect(burst(one, 'a', 3, 0)).toBe(3);
    expect(burst(other, 'a', 3, 0)).toBe(2);
  });

  it('survives a flood of other keys when it is the emptiest, in memory that does not grow', () => {
    const buckets = new SharedBuckets({ size: 1024 });
    const { byteLength } = buckets.memory;
    expect(burst(buckets, 'greedy', 20, 0)).toBe(5);
    for (let i = 0; i < 100_000; i++) buckets.take(`stranger ${i}`, rate, start);
    expect(buckets.memory.byteLength).toBe(byteLength);
    expect(burst(buckets, 'greedy', 1, 0)).toBe(0);
  });
});
