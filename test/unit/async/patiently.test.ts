import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { patiently } from '#async/patiently.ts';

const late = () => new Error('late');

async function* slowly(...pauses: number[]): AsyncGenerator<number> {
  for (const pause of pauses) {
    await sleep(pause);
    yield pause;
  }
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(source);
}

it('gives all that comes in time, however long its reader takes', async () => {
  expect(await all(patiently(slowly(0, 1, 2), 0, late))).toEqual([0, 1, 2]);
  const seen: number[] = [];
  for await (const pause of patiently(slowly(0, 0, 0), 2_000, late)) {
    await sleep(50);
    seen.push(pause);
  }
  expect(seen).toEqual([0, 0, 0]);
});

it('ends with what does not come', async () => {
  const seen: number[] = [];
  const silent = async function* () {
    yield 1;
    await new Promise(() => {});
  };
  const reading = async () => {
    for await (const one of patiently(silent(), 20, late)) seen.push(one);
  };
  await expect(reading()).rejects.toThrow('late');
  expect(seen).toEqual([1]);
});

it('lets go of its source when its reader has enough', async () => {
  let open = true;
  const source = async function* () {
    try {
      for (;;) yield 1;
    } finally {
      open = false;
    }
  };
  for await (const _ of patiently(source(), 2_000, late)) break;
  await expect.poll(() => open).toBe(false);
});

it('hands on what its source throws', async () => {
  const broken = async function* () {
    yield 1;
    throw new Error('broken');
  };
  await expect(all(patiently(broken(), 2_000, late))).rejects.toThrow('broken');
});
