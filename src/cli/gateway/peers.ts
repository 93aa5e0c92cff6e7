import type { PoolDatabase } from '#database/pool/open.ts';
import { forbidden } from '#errors/errors.ts';
import type { Forwarder } from '#pool/gateway/forward.ts';
import { RunningBuildsRepository } from '#pool/gateway/running-builds-repository.ts';
import { WorkerAgents } from '#pool/gateway/worker-agents.ts';
import { type GatewayCredentials, Workers } from '#pool/gateway/workers.ts';
import { peerRoutes } from '#pool/http/peer-routes.ts';
import type { WorkerServer } from '#pool/http/worker-server.ts';
import { TenantAccessRepository } from '#pool/tenants/tenant-access-repository.ts';
import type { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';

/** What workers ask a gateway for, to have steps done by workers of other platforms. */
export function peerRequests(
  workerServer: WorkerServer,
  {
    db,
    parts: { workers, forwarder },
    leases,
    credentials,
    started,
  }: {
    db: PoolDatabase;
    parts: { workers: Workers; forwarder: Forwarder };
    leases: WorkerLeasesRepository;
    credentials: () => GatewayCredentials;
    started: AsyncDisposableStack;
  },
): void {
  const access = new TenantAccessRepository(db);
  const agents = started.use(new WorkerAgents());
  const ofTenant = async (name: string): Promise<Workers> => {
    const tenant = (await access.identities([name])).get(name);
    if (!tenant) throw forbidden('there is no such tenant');
    return new Workers({ leases, agents, credentials, tenant: () => tenant });
  };
  const builds = new RunningBuildsRepository(db);
  peerRoutes(workerServer, { leases, builds, workers, forwarder, ofTenant });
}
