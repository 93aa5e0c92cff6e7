import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { admit } from './admission-repository.ts';
import { FINISHED } from './job.ts';
import type { lockTenant } from './tenant-row.ts';

export interface JobEnd {
  readonly state: 'succeeded' | 'failed' | 'canceled' | 'skipped';
  readonly result: unknown;
}

/**
 * Ends a job: those that need it may go on, or never will, and its tenant has room again. The transaction has locked the
 * tenant (`lockTenant`), then the job: in this order, as whoever adds a job does.
 */
export async function endJob(
  trx: PoolDatabase,
  tenant: Awaited<ReturnType<typeof lockTenant>>,
  id: number,
  end: JobEnd,
): Promise<void> {
  await settle(trx, id, end);
  await admit(trx, tenant);
}

async function settle(trx: PoolDatabase, id: number, end: JobEnd): Promise<void> {
  await trx
    .updateTable('jobs')
    .set({ state: end.state, result: JSON.stringify(end.result), finished_at: databaseNow(trx) })
    .where('id', '=', id)
    .where('state', 'not in', FINISHED)
    .execute();
  const dependents = await trx
    .selectFrom('job_needs')
    .innerJoin('jobs', 'jobs.id', 'job_needs.job_id')
    .select(['jobs.id', 'jobs.due_at'])
    .where('job_needs.needs_id', '=', id)
    .where('jobs.state', '=', 'blocked')
    .execute();
  for (const dependent of dependents) {
    if (end.state !== 'succeeded')
      await settle(trx, dependent.id, { state: 'skipped', result: { needs: end.state } });
    else if (!(await isBlocked(trx, dependent.id))) await unblock(trx, dependent);
  }
}

async function isBlocked(trx: PoolDatabase, id: number): Promise<boolean> {
  const unfinished = await trx
    .selectFrom('job_needs')
    .innerJoin('jobs', 'jobs.id', 'job_needs.needs_id')
    .select('jobs.id')
    .where('job_needs.job_id', '=', id)
    .where('jobs.state', '!=', 'succeeded')
    .limit(1)
    .executeTakeFirst();
  return unfinished !== undefined;
}

async function unblock(
  trx: PoolDatabase,
  job: { readonly id: number; readonly due_at: number | null },
): Promise<void> {
  await trx
    .updateTable('jobs')
    .set({ state: job.due_at === null ? 'held' : 'delayed' })
    .where('id', '=', job.id)
    .where('state', '=', 'blocked')
    .execute();
}
