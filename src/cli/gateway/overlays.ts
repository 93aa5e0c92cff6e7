import { Wakes } from '#async/wakes.ts';
import type { DatabaseOptions } from '#database/open.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { PostgresListener } from '#database/postgres-listener.ts';
import { PlacementsRepository } from '#pool/gateway/placements-repository.ts';
import { overlayRoutes } from '#pool/http/overlay-routes.ts';
import type { WorkerServer } from '#pool/http/worker-server.ts';
import { OVERLAYS_CHANNEL } from '#pool/overlay/announcements-repository.ts';
import { OverlayEndpointsRepository } from '#pool/overlay/overlay-endpoints-repository.ts';
import { OverlayNetworksRepository, POOL_ITSELF } from '#pool/overlay/overlay-networks-repository.ts';
import type { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';

/** What workers ask a gateway for of overlay networks; what another gateway changes is heard of. */
export function overlayRequests(
  workerServer: WorkerServer,
  {
    db,
    database,
    leases,
    started,
  }: {
    db: PoolDatabase;
    database: DatabaseOptions;
    leases: WorkerLeasesRepository;
    started: AsyncDisposableStack;
  },
): void {
  const wakes = new Wakes();
  if (database.driver === 'postgres') {
    started.use(new PostgresListener(database, OVERLAYS_CHANNEL, () => wakes.wake()));
  }
  const networksOf = (tenant: string) => ({
    endpoints: new OverlayEndpointsRepository(db, tenant),
    // Workers are not asked: it is one of them that asks.
    async find(reference: string) {
      const [placed] = await new PlacementsRepository(db, tenant).find('network', reference);
      if (placed?.worker !== POOL_ITSELF || placed.id === null) return undefined;
      return await new OverlayNetworksRepository(db, tenant).find(placed.id);
    },
  });
  overlayRoutes(workerServer, { leases, wakes, networksOf });
}
