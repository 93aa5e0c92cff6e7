import { expect, it } from 'vitest';
import { simulate } from '../../simulation/simulate.ts';

/** The short variant of `npm run simulate`. */
it('keeps builds with the caches that they stand on, in a simulated pool', async () => {
  const world = {
    workers: 30,
    slots: 4,
    jobsADay: 24_000,
    tenants: 10,
    projects: 200,
    cacheSize: 10,
    hours: 0.4,
    warmUp: 0.1,
    seed: 3,
  };
  const ours = await simulate({ ...world, policy: 'slipway' });
  const random = await simulate({ ...world, policy: 'random' });
  expect(ours.jobs).toBeGreaterThan(100);
  expect(ours.cacheHits).toBeGreaterThan(random.cacheHits * 1.3);
  expect(ours.turnaround.p50).toBeLessThan(random.turnaround.p50);
  // What is kept for somebody who has room starts at once.
  expect(ours.wait.p95).toBeLessThan(5);
}, 120_000);
