import { expect, it } from 'vitest';
import { simulatePlacement } from '../../simulation/place-work.ts';
import { simulate } from '../../simulation/simulate.ts';

/** The short variant of `npm run simulate`. */
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

it('keeps builds with the caches that they stand on, in a simulated pool', async () => {
  const ours = await simulate({ ...world, policy: 'slipway' });
  const random = await simulate({ ...world, policy: 'random' });
  expect(ours.jobs).toBeGreaterThan(100);
  expect(ours.cacheHits).toBeGreaterThan(random.cacheHits * 1.3);
  expect(ours.turnaround.p50).toBeLessThan(random.turnaround.p50);
  // What is kept for somebody who has room starts at once.
  expect(ours.wait.p95).toBeLessThan(5);
}, 120_000);

it('places builds and containers where what they need is, and still spreads them', async () => {
  const ours = await simulatePlacement({ ...world, policy: 'slipway' });
  const random = await simulatePlacement({ ...world, policy: 'random' });
  const even = await simulatePlacement({ ...world, policy: 'least-loaded' });
  expect(ours.builds).toBeGreaterThan(100);
  expect(ours.cacheHits).toBeGreaterThan(random.cacheHits * 1.3);
  expect(ours.cacheHits).toBeGreaterThan(even.cacheHits * 1.3);
  expect(ours.local).toBeGreaterThan(random.local * 1.1);
  expect(ours.uneven.containers).toBeLessThan(random.uneven.containers);
  expect(ours.wait.p95).toBeLessThan(5);
}, 120_000);
