import { Wakes } from '#async/wakes.ts';
import type { DatabaseOptions } from '#database/open.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { PostgresListener } from '#database/postgres-listener.ts';
import { stepRoutes } from '#pool/http/step-routes.ts';
import type { WorkerServer } from '#pool/http/worker-server.ts';
import { STEPS_CHANNEL, StepClaimsRepository } from '#pool/steps/step-claims-repository.ts';

/** What workers ask a gateway for, so that no two of them do one step; what another gateway is told is heard of. */
export function stepRequests(
  workerServer: WorkerServer,
  { db, database, started }: { db: PoolDatabase; database: DatabaseOptions; started: AsyncDisposableStack },
): void {
  const wakes = new Wakes();
  if (database.driver === 'postgres') {
    started.use(new PostgresListener(database, STEPS_CHANNEL, () => wakes.wake()));
  }
  stepRoutes(workerServer, { steps: new StepClaimsRepository(db), wakes });
}
