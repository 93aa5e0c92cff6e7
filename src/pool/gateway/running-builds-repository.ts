import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { PoolWorker } from '../workers/worker-leases-repository.ts';
import { SILENCE } from './build-turns-repository.ts';

/** Which builds workers are at, as far as the pool gave them: those that are asked of a worker itself are not known. */
export class RunningBuildsRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** Whether a worker has a build for a tenant, or the operator (''): one of a client, or a job. */
  async has({ worker, epoch, name }: PoolWorker, tenant: string): Promise<boolean> {
    const turn = await this.#db
      .selectFrom('build_turns')
      .select('id')
      .where('worker', '=', name)
      .where('tenant', '=', tenant)
      .where('seen_at', '>=', sql<number>`${databaseNow(this.#db)} - ${SILENCE}`)
      .limit(1)
      .executeTakeFirst();
    if (turn) return true;
    const jobs = this.#db
      .selectFrom('jobs')
      .select('id')
      .where('worker', '=', worker)
      .where('worker_epoch', '=', epoch)
      .where('state', '=', 'running')
      .where('kind', '=', 'build');
    // A job that the operator asks for is done by the operator's engine, on whose share it may be.
    const own = tenant === '' ? jobs : jobs.where('tenant', '=', tenant);
    const job = await own
      .where('confined', '=', Number(tenant !== ''))
      .limit(1)
      .executeTakeFirst();
    return job !== undefined;
  }
}
