import { z } from 'zod';
import { type Operation, operation } from '#worker/http/api/operation.ts';
import type { TenantsRepository } from '../jobs/tenants-repository.ts';

const tag = 'tenants';
const name = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?$/, 'expected lower-case letters, digits, dots and dashes');
const settings = z.object({
  weight: z.int().min(1).max(1000).default(1).describe('Its share of the pool, against those of others.'),
  maxRunning: z
    .int()
    .min(1)
    .max(1_000_000)
    .nullable()
    .default(null)
    .describe('How many of its jobs run at once.'),
});

/** Who may use the pool, and what share of it is theirs. */
export function tenantOperations(tenants: TenantsRepository): Operation[] {
  return [
    operation({
      id: 'listTenants',
      method: 'GET',
      path: '/tenants',
      tag,
      summary: 'All tenants',
      reply: z.object({ items: z.array(settings.extend({ name: z.string() })) }),
      handle: async () => ({ items: await tenants.list() }),
    }),
    operation({
      id: 'putTenant',
      method: 'PUT',
      path: '/tenants/{name}',
      tag,
      summary: 'Make a tenant, or change one',
      params: z.object({ name }),
      body: settings,
      handle: ({ params, body }) => tenants.put({ ...params, ...body }),
    }),
  ];
}
