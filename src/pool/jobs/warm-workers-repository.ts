import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { WarmWorker } from '../scheduler/warm-worker.ts';
import type { WorkerOffer } from '../workers/worker-leases-repository.ts';

/** Who came to a good end with the like of a job last, if it is there; undefined otherwise. */
export async function warmWorker(trx: PoolDatabase, affinity: string): Promise<WarmWorker | undefined> {
  const last = await trx
    .selectFrom('jobs')
    .select('worker')
    .where('affinity', '=', affinity)
    .where('state', '=', sql.lit('succeeded'))
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (!last?.worker) return undefined;
  const worker = await trx
    .selectFrom('workers')
    .select(['id', 'offer'])
    .select(({ selectFrom }) =>
      selectFrom('jobs')
        .select(({ fn }) => fn.countAll().as('count'))
        .whereRef('jobs.worker', '=', 'workers.id')
        .where('jobs.state', '=', sql.lit('running'))
        .as('running'),
    )
    .where('id', '=', last.worker)
    .where('state', '=', 'ready')
    .where('lease_expires_at', '>', databaseNow(trx))
    .executeTakeFirst();
  if (!worker) return undefined;
  const { cpus } = JSON.parse(worker.offer) as WorkerOffer;
  return { worker: worker.id, cpus, running: Number(worker.running) };
}
