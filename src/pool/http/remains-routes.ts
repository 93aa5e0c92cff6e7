import { z } from 'zod';
import { TENANT_NAME } from '../tenants/tenant-header.ts';
import type { TenantRemovalRepository } from '../tenants/tenant-removal-repository.ts';
import type { WorkerLeasesRepository } from '../workers/worker-leases-repository.ts';
import { parseBody, type WorkerServer } from './worker-server.ts';

const removed = z.strictObject({ tenant: z.string().regex(TENANT_NAME) });

/** What `followRemovals` asks for: the tenants of which a worker is to keep nothing, and that it does not. */
export function remainsRoutes(
  server: WorkerServer,
  { removals, leases }: { removals: TenantRemovalRepository; leases: WorkerLeasesRepository },
): void {
  const nameOf = async (req: Parameters<WorkerServer['authenticate']>[0]) => {
    const { worker } = await server.authenticate(req);
    return (await leases.list()).find((each) => each.worker === worker)!.name;
  };
  server.route('POST /tenants/remains', async (req) => ({ tenants: await removals.of(await nameOf(req)) }));
  server.route('POST /tenants/removed', async (req, body) => {
    await removals.done(await nameOf(req), parseBody(removed, body).tenant);
  });
}
