import { expect, it } from 'vitest';
import type { CacheContents, CacheUsage } from '#worker/build/cache/cache-contents.ts';
import { CacheKeeper, type CacheLimits } from '#worker/build/cache/cache-keeper.ts';

const HOUR = 60 * 60 * 1000;
const NO_LIMITS: CacheLimits = { reservedBytes: 0, maxUsedBytes: 0, minFreeBytes: 0, maxUnusedMs: 0 };

/** A cache with these in it, each of 100 bytes and used so many hours ago. */
class Kept implements CacheContents {
  readonly #usages: Map<string, CacheUsage>;

  constructor(hours: Record<string, number>, busy: readonly string[] = []) {
    const entries = Object.entries(hours).map(([id, ago]): [string, CacheUsage] => {
      const used = new Date(Date.now() - ago * HOUR);
      const times = { createdAt: used, lastUsedAt: used, usageCount: 1 };
      const inUse = busy.includes(id);
      return [id, { id, type: 'regular', kind: 'exec', description: id, bytes: 100, inUse, ...times }];
    });
    this.#usages = new Map(entries);
  }

  get ids(): string[] {
    return [...this.#usages.keys()].sort();
  }

  async usage(): Promise<CacheUsage[]> {
    return [...this.#usages.values()];
  }

  async remove(id: string): Promise<number | undefined> {
    return this.#usages.delete(id) ? 100 : undefined;
  }
}

async function trimmed(parts: Kept[], limits: Partial<CacheLimits>, free = 1000): Promise<string[]> {
  let collected = 0;
  const ports = {
    parts,
    freeBytes: async () => free,
    collect: async () => {
      collected++;
    },
    report: (error: unknown) => {
      throw error;
    },
  };
  await using keeper = new CacheKeeper(ports, { ...NO_LIMITS, ...limits });
  await keeper.trim();
  expect(collected).toBe(1);
  return parts.flatMap(({ ids }) => ids);
}

const three = () => [new Kept({ new: 1, old: 3 }), new Kept({ middle: 2 })];

it('without limits all stays', async () => {
  expect(await trimmed(three(), {})).toEqual(['new', 'old', 'middle']);
});

it('what was used least recently goes first, of whatever part', async () => {
  expect(await trimmed(three(), { maxUsedBytes: 200 })).toEqual(['new', 'middle']);
  expect(await trimmed(three(), { maxUsedBytes: 199 })).toEqual(['new']);
});

it('what a build uses stays', async () => {
  const busy = new Kept({ new: 1, old: 3 }, ['old']);
  expect(await trimmed([busy], { maxUsedBytes: 100 })).toEqual(['old']);
});

it('as much goes as is missing of the free disk, above what is reserved', async () => {
  expect(await trimmed(three(), { minFreeBytes: 1000 }, 1000)).toEqual(['new', 'old', 'middle']);
  expect(await trimmed(three(), { minFreeBytes: 1000 }, 850)).toEqual(['new']);
  expect(await trimmed(three(), { minFreeBytes: 1000, reservedBytes: 200 }, 0)).toEqual(['new', 'middle']);
});

it('what was not used for long goes', async () => {
  expect(await trimmed(three(), { maxUnusedMs: 2.5 * HOUR })).toEqual(['new', 'middle']);
});

it('what fails is told, and the next time is not in vain', async () => {
  const told: unknown[] = [];
  let fails = true;
  const part: CacheContents = {
    usage: async () => {
      if (fails) throw new Error('no disk');
      return [];
    },
    remove: async () => undefined,
  };
  let collected = 0;
  const ports = {
    parts: [part],
    freeBytes: async () => 0,
    collect: async () => void collected++,
    report: (error: unknown) => void told.push(error),
  };
  await using keeper = new CacheKeeper(ports, { ...NO_LIMITS, maxUsedBytes: 1 });
  await keeper.trim();
  fails = false;
  await keeper.trim();
  expect([told.map(String), collected]).toEqual([['Error: no disk'], 1]);
});
