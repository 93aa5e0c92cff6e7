import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { WorkerClocks } from '#pool/gateway/worker-clocks.ts';
import type { LivingWorker } from '#pool/gateway/workers.ts';

const worker = { name: 'w' } as LivingWorker;
const MINUTES = 60_000;

/** Of a worker that answers so late, and whose clock is so far ahead. */
function clocks({ ahead, late = 0 }: { ahead: number | undefined; late?: number }) {
  const asked: string[] = [];
  const open = async (_to: LivingWorker, { path }: { path: string }) => {
    asked.push(path);
    const headers = ahead === undefined ? {} : { 'slipway-clock': String(Date.now() + ahead) };
    if (late > 0) await sleep(late);
    return { headers, resume: () => {} };
  };
  return { asked, clocks: new WorkerClocks({ client: { open } }) };
}

it.each([10 * MINUTES, -10 * MINUTES])('knows how far a clock is from its own: %d ms', async (ahead) => {
  const { clocks: known, asked } = clocks({ ahead });
  const measured = await known.ahead(worker);
  expect(Math.abs(measured - ahead)).toBeLessThan(MINUTES);
  expect(await known.ahead(worker)).toBe(measured);
  expect(asked).toEqual(['/_ping']);
});

it('leaves times as they are that differ by no more than the way there takes', async () => {
  expect(await clocks({ ahead: 0 }).clocks.ahead(worker)).toBe(0);
  expect(await clocks({ ahead: 0, late: 100 }).clocks.ahead(worker)).toBe(0);
});

it('goes by the quickest answer', async () => {
  // The first ones come late, and say the time of when they were asked.
  const late = [200, 100, 0];
  const open = async () => {
    const headers = { 'slipway-clock': String(Date.now() + MINUTES) };
    await sleep(late.shift() ?? 0);
    return { headers, resume: () => {} };
  };
  const measured = await new WorkerClocks({ client: { open } }).ahead(worker);
  expect(late).toEqual([]);
  expect(measured).toBeGreaterThan(MINUTES - 50);
});

it('leaves those of workers that do not say it', async () => {
  expect(await clocks({ ahead: undefined }).clocks.ahead(worker)).toBe(0);
  const open = () => Promise.reject(new Error('away'));
  expect(await new WorkerClocks({ client: { open } }).ahead(worker)).toBe(0);
});
