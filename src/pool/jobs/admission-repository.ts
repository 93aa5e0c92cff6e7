import { sql } from 'kysely';
import { isPostgres } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';

/** Said to all processes when jobs may be claimed ('queued'), or are to end that workers are at ('changed'). */
export const JOBS_CHANNEL = 'slipway_jobs';
export type JobsNews = 'queued' | 'changed';

/**
 * Makes jobs claimable that need nothing more but their tenant's leave: as many as it may have at work, by priority and
 * turn, and the rest are held until others end. Claims need not look at tenants then. The caller has locked the tenant's
 * row.
 */
export async function admit(
  trx: PoolDatabase,
  tenant: { readonly name: string; readonly max_running: number | null },
): Promise<void> {
  let admitted = 0;
  if (tenant.max_running === null) {
    admitted = await promote(trx, tenant.name, undefined);
  } else {
    await giveWay(trx, tenant.name);
    const { count } = await trx
      .selectFrom('jobs')
      .select(({ fn }) => fn.countAll().as('count'))
      .where('tenant', '=', tenant.name)
      .where('state', 'in', ['queued', 'running', 'publishing'])
      .executeTakeFirstOrThrow();
    const free = tenant.max_running - Number(count);
    if (free > 0) admitted = await promote(trx, tenant.name, free);
  }
  if (admitted > 0) await announceJobs(trx, 'queued');
}

/** Whoever waits for a job, or works on one that has to end, hears of it when the transaction commits. */
export async function announceJobs(trx: PoolDatabase, news: JobsNews): Promise<void> {
  if (isPostgres(trx)) await sql`select pg_notify(${JOBS_CHANNEL}, ${news})`.execute(trx);
}

/** What is queued of a lesser priority than something that is held goes back in line. */
async function giveWay(trx: PoolDatabase, tenant: string): Promise<void> {
  const first = await trx
    .selectFrom('jobs')
    .select('priority')
    .where('tenant', '=', tenant)
    .where('state', '=', HELD)
    .orderBy('priority', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (!first) return;
  await trx
    .updateTable('jobs')
    .set({ state: 'held' })
    .where('tenant', '=', tenant)
    .where('state', '=', 'queued')
    .where('priority', '<', first.priority)
    .execute();
}

/** SQLite takes no partial index for a state that it learns later: it would read all jobs of the tenant, whatever they are. */
const HELD = sql.lit('held' as const);

async function promote(trx: PoolDatabase, tenant: string, limit: number | undefined): Promise<number> {
  let next = trx
    .selectFrom('jobs')
    .select('id')
    .where('tenant', '=', tenant)
    .where('state', '=', HELD)
    .orderBy('priority', 'desc')
    .orderBy('turn')
    .orderBy('id');
  if (limit !== undefined) next = next.limit(limit);
  const result = await trx
    .updateTable('jobs')
    .set({ state: 'queued' })
    .where('id', 'in', next)
    .executeTakeFirst();
  return Number(result.numUpdatedRows);
}
