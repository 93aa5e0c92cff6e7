import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { endJob, type JobEnd } from './ends.ts';
import { lockTenant } from './tenant-row.ts';

/** Jobs that are done, and whose results are being given their names. */
export class PublishingRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** Takes over what another process has not ended in its time, for `lease` milliseconds. */
  async take(lease: number): Promise<{ id: string; result: unknown; since: number }[]> {
    const now = databaseNow(this.#db);
    const rows = await this.#db
      .updateTable('jobs')
      .set({ due_at: sql<number>`${now} + ${lease}` })
      .where('state', '=', 'publishing')
      .where('due_at', '<=', now)
      .returning(['public_id', 'result', sql<number>`${now} - started_at`.as('since')])
      .execute();
    return rows.map((row) => ({
      id: row.public_id,
      result: JSON.parse(row.result ?? 'null'),
      since: Number(row.since),
    }));
  }

  /** The tenant that has asked for it; undefined: the pool's operator has. */
  async confinedTo(id: string): Promise<string | undefined> {
    const job = await this.#db
      .selectFrom('jobs')
      .select('tenant')
      .where('public_id', '=', id)
      .where('confined', '=', 1)
      .executeTakeFirst();
    return job?.tenant;
  }

  /** False when another process has ended it. */
  async end(id: string, end: JobEnd): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
      const job = await publishing(trx, id).executeTakeFirst();
      if (!job) return false;
      const tenant = await lockTenant(trx, job.tenant);
      if (!(await publishing(trx, id).forUpdate().executeTakeFirst())) return false;
      await endJob(trx, tenant, job.id, end);
      return true;
    });
  }
}

function publishing(trx: PoolDatabase, id: string) {
  return trx
    .selectFrom('jobs')
    .select(['id', 'tenant'])
    .where('public_id', '=', id)
    .where('state', '=', 'publishing');
}
