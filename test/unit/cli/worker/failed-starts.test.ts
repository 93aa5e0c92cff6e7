import { expect, it } from 'vitest';
import { unavailable } from '#errors/errors.ts';
import { parseTenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { rememberingFailures } from '../../../../src/cli/worker/failed-starts.ts';

const MIB = 2 ** 20;
const worker = (disk: number) => parseTenantPolicy({ worker: { disk } });

it('tries a start that failed again after a while, or with another policy', async () => {
  let clock = 0;
  let room = 300 * MIB;
  const tried: number[] = [];
  const start = rememberingFailures(
    async ({ policy: { worker } }) => {
      tried.push(worker.disk! / MIB);
      if (worker.disk! > room) throw unavailable('no room');
      return 'begun';
    },
    () => clock,
  );
  const place = { name: 'a', number: 1, policy: worker(400 * MIB) };
  for (let second = 0; second < 30; second++, clock += 1000)
    await expect(start(place)).rejects.toThrow('no room');
  expect(tried).toEqual([400]);
  await expect(start({ ...place, name: 'b' })).rejects.toThrow('no room');
  expect(await start({ ...place, policy: worker(300 * MIB) })).toBe('begun');
  // What was so once is not so for ever.
  await expect(start(place)).rejects.toThrow('no room');
  expect(tried).toEqual([400, 400, 300, 400]);
  room = 400 * MIB;
  clock += 30_000;
  expect(await start(place)).toBe('begun');
});
