import type { DatabaseOptions } from '#database/open.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { PostgresListener } from '#database/postgres-listener.ts';
import { overlayOf } from '#pool/http/gateway/overlay-network-routes.ts';
import { overlayRoutes } from '#pool/http/overlay-routes.ts';
import type { WorkerServer } from '#pool/http/worker-server.ts';
import { Wakes } from '#pool/jobs/wakes.ts';
import { OVERLAYS_CHANNEL } from '#pool/overlay/announce-overlays.ts';
import { OverlayEndpointsRepository } from '#pool/overlay/overlay-endpoints-repository.ts';
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
    parts: Parameters<typeof overlayOf>[0];
    leases: WorkerLeasesRepository;
    started: AsyncDisposableStack;
  },
): void {
  const wakes = new Wakes();
  if (database.driver === 'postgres') {
    started.use(new PostgresListener(database, OVERLAYS_CHANNEL, () => wakes.wake()));
  }
  const endpoints = new OverlayEndpointsRepository(db);
  const find = (reference: string) => overlayOf(parts, reference);
  overlayRoutes(workerServer, { endpoints, leases, wakes, find });
}
