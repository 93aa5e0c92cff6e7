import { Wakes } from '#async/wakes.ts';
import type { DatabaseOptions } from '#database/open.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { PostgresListener } from '#database/postgres-listener.ts';
import type { PlacementsRepository } from '#pool/gateway/placements-repository.ts';
import { overlayRoutes } from '#pool/http/overlay-routes.ts';
import type { WorkerServer } from '#pool/http/worker-server.ts';
import { OVERLAYS_CHANNEL } from '#pool/overlay/announcements-repository.ts';
import { OverlayEndpointsRepository } from '#pool/overlay/overlay-endpoints-repository.ts';
import { POOL_ITSELF } from '#pool/overlay/overlay-networks-repository.ts';
import type { Overlays } from '#pool/overlay/overlays.ts';
import type { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';

/** What workers ask a gateway for of overlay networks; what another gateway changes is heard of. */
export function overlayRequests(
  workerServer: WorkerServer,
  {
    db,
    database,
    parts,
    leases,
    started,
  }: {
    db: PoolDatabase;
    database: DatabaseOptions;
    parts: { placements: PlacementsRepository; overlays: Overlays };
    leases: WorkerLeasesRepository;
    started: AsyncDisposableStack;
  },
): void {
  const wakes = new Wakes();
  if (database.driver === 'postgres') {
    started.use(new PostgresListener(database, OVERLAYS_CHANNEL, () => wakes.wake()));
  }
  const endpoints = new OverlayEndpointsRepository(db);
  // Workers are not asked: it is one of them that asks.
  const find = async (reference: string) => {
    const [placed] = await parts.placements.find('network', reference);
    if (placed?.worker !== POOL_ITSELF || placed.id === null) return undefined;
    return await parts.overlays.find(placed.id);
  };
  overlayRoutes(workerServer, { endpoints, leases, wakes, find });
}
