import { pino } from 'pino';
import { expect, it } from 'vitest';
import { followRemovals } from '#pool/member/follow-removals.ts';

const log = pino({ level: 'silent' });

it('takes away what it can, whatever cannot be done before it', async () => {
  const removed: unknown[] = [];
  await using _ = followRemovals(
    {
      async ask(_method, path, body) {
        if (path === '/tenants/remains') return { tenants: ['a', 'b', 'c'] };
        removed.push(body);
        return {};
      },
    },
    async (tenant) => {
      if (tenant === 'a') throw new Error('device or resource busy');
    },
    log,
  );
  await expect.poll(() => removed).toEqual([{ tenant: 'b' }, { tenant: 'c' }]);
});
