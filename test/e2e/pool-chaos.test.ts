import { expect, it } from 'vitest';
import { chaos } from '../chaos/chaos.ts';
import { sharedS3 } from '../s3/shared-s3.ts';

/** The short variant of `npm run chaos`. */
it('loses no job and does none twice, whatever part of the pool goes away', async () => {
  const seed = Date.now() % 1_000_000;
  const { problems, ...result } = await chaos({
    seconds: 12,
    gateways: 2,
    workers: 2,
    every: 1_000,
    seed,
    s3: await sharedS3(),
  });
  console.log(JSON.stringify(result));
  expect(problems, `seed ${seed}`).toEqual([]);
  expect(result.jobs.succeeded).toBe(result.jobs.acknowledged);
  expect(result.jobs.acknowledged).toBeGreaterThan(2);
}, 600_000);
