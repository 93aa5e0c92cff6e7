import { z } from 'zod';
import { TENANT_NAME } from '../tenants/tenant-header.ts';
import type { TenantRemovalRepository } from '../tenants/tenant-removal-repository.ts';
import { parseBody, type WorkerServer } from './worker-server.ts';

const held = z
  .strictObject({
    held: z.array(
      z.strictObject({ tenant: z.string().regex(TENANT_NAME), generation: z.int().nonnegative() }),
    ),
  })
  .optional();
const removed = z.strictObject({ tenant: z.string().regex(TENANT_NAME) });

/** What `followRemovals` asks for: the tenants of which a worker is to keep nothing, and that it does not any more. */
export function remainsRoutes(
  server: Pick<WorkerServer, 'authenticate' | 'route'>,
  { removals }: { removals: TenantRemovalRepository },
): void {
  server.route('POST /tenants/remains', async (req, body) => {
    const { name } = await server.authenticate(req);
    return { tenants: await removals.of(name, parseBody(held, body)?.held) };
  });
  server.route('POST /tenants/removed', async (req, body) => {
    const { name } = await server.authenticate(req);
    await removals.done(name, parseBody(removed, body).tenant);
  });
}
