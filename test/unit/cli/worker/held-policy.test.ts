import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { unavailable } from '#errors/errors.ts';
import { parseTenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { HeldPolicy } from '../../../../src/cli/worker/held-policy.ts';

const pids = (most: number) => parseTenantPolicy({ worker: { pids: most } });

it('sets limits one after another', async () => {
  let busy = 0;
  const set: unknown[] = [];
  const held = new HeldPolicy(pids(1), async (limits, former) => {
    expect(++busy).toBe(1);
    await turn();
    set.push([former.pids, limits.pids]);
    busy--;
  });
  await Promise.all([held.use(pids(2)), held.use(pids(3)), held.use(pids(3)), held.use(pids(2))]);
  expect(set).toEqual([
    [1, 2],
    [2, 3],
    [3, 2],
  ]);
  expect(held.current.worker.pids).toBe(2);
});

it('has limits tried again that could not be set', async () => {
  let fails = true;
  const held = new HeldPolicy(pids(1), async () => {
    if (fails) throw unavailable('not now');
  });
  await expect(held.use(pids(2))).rejects.toThrow('not now');
  expect(held.current.worker.pids).toBe(1);
  await expect(held.use(pids(2))).rejects.toThrow('not now');
  fails = false;
  await held.use(pids(2));
  expect(held.current.worker.pids).toBe(2);
  // What else a policy says needs no limits to be set.
  fails = true;
  await held.use({ ...pids(2), privileged: true });
  expect(held.current.privileged).toBe(true);
});
