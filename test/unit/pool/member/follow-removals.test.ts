import { pino } from 'pino';
import { expect, it } from 'vitest';
import { followRemovals } from '#pool/member/follow-removals.ts';

const log = pino({ level: 'silent' });

it('takes away what it can, whatever cannot be done before it', async () => {
  const removed: unknown[] = [];
  await using _ = followRemovals(
    {
      async ask(_method, path, body) {
        if (path === '/tenants/remains') return { tenants: (body as { held: unknown }).held };
        removed.push(body);
        return {};
      },
    },
    {
      held: () => ['a', 'b', 'c'].map((tenant, generation) => ({ tenant, generation })),
      async remove(tenant, generation) {
        if (tenant === 'a') throw new Error('device or resource busy');
        expect(generation).toBe(tenant === 'b' ? 1 : 2);
      },
    },
    log,
  );
  await expect.poll(() => removed).toEqual([{ tenant: 'b' }, { tenant: 'c' }]);
});
