import { randomUUID } from 'node:crypto';
import type { Selectable } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { PoolSchema } from '#database/pool/schema.ts';
import { inTransaction } from '#database/transaction.ts';
import { notFound } from '#errors/errors.ts';
import type { JobState } from '../jobs/job.ts';
import { lockPresentTenant } from '../jobs/tenant-row.ts';

/** Who is told of a tenant's jobs, by HTTP. Times are in milliseconds since 1970. */
export interface JobHook {
  readonly id: string;
  readonly tenant: string;
  /** Its tenant's own clients have made it: it hears of jobs that they have asked for. */
  readonly confined: boolean;
  readonly url: string;
  readonly states: readonly JobState[];
  readonly enabled: boolean;
  readonly lastResult: string | null;
  readonly lastAt: number | null;
}

export type WantedHook = Pick<JobHook, 'tenant' | 'url' | 'states' | 'enabled'> & {
  readonly confined?: boolean;
  readonly secret: string;
};

/** Who is told of jobs. */
export class HooksRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** Throws `not-found` for a tenant. */
  async add({ tenant, confined = false, url, states, enabled, secret }: WantedHook): Promise<JobHook> {
    return await inTransaction(this.#db, async (trx) => {
      await lockPresentTenant(trx, tenant);
      const row = await trx
        .insertInto('job_hooks')
        .values({
          id: randomUUID(),
          tenant,
          confined: confined ? 1 : 0,
          url,
          states: `,${states.join(',')},`,
          secret,
          enabled: enabled ? 1 : 0,
          last_result: null,
          last_at: null,
          created_at: databaseNow(trx),
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      return hookOf(row);
    });
  }

  async list(tenant: string | undefined, { confined }: { confined?: boolean } = {}): Promise<JobHook[]> {
    let query = this.#db.selectFrom('job_hooks').selectAll().orderBy('tenant').orderBy('created_at');
    if (tenant !== undefined) query = query.where('tenant', '=', tenant);
    if (confined !== undefined) query = query.where('confined', '=', Number(confined));
    return (await query.execute()).map(hookOf);
  }

  /** Throws `not-found`. */
  async get(id: string): Promise<JobHook> {
    const row = await this.#db.selectFrom('job_hooks').selectAll().where('id', '=', id).executeTakeFirst();
    if (!row) throw notFound(`no such hook: ${id}`);
    return hookOf(row);
  }

  /** With what is still to be said to it. Throws `not-found`. */
  async remove(id: string): Promise<void> {
    await this.#db.deleteFrom('job_hook_deliveries').where('hook_id', '=', id).execute();
    const removed = await this.#db.deleteFrom('job_hooks').where('id', '=', id).executeTakeFirst();
    if (removed.numDeletedRows === 0n) throw notFound(`no such hook: ${id}`);
  }
}

function hookOf(row: Selectable<PoolSchema['job_hooks']>): JobHook {
  const { id, tenant, url, states } = row;
  return {
    id,
    tenant,
    confined: row.confined === 1,
    url,
    states: states.split(',').filter((state) => state !== '') as JobState[],
    enabled: row.enabled === 1,
    lastResult: row.last_result,
    lastAt: row.last_at,
  };
}
