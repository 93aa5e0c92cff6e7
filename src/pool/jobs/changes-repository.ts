import { sql } from 'kysely';
import type { PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { conflict, notFound } from '#errors/errors.ts';
import { admit, announceJobs } from './admission-repository.ts';
import { endJob } from './ends.ts';
import { FINISHED, type JobState } from './job.ts';
import { lockTenant } from './tenant-row.ts';

interface JobRow {
  readonly id: number;
  readonly tenant: string;
  readonly confined: number;
  readonly state: JobState;
  readonly dedup_key: string | null;
  readonly due_at: number | null;
}

/** What people do to jobs that were asked for. */
export class JobChangesRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /**
   * Ends a job, or all of a pipeline. What waits is over at once; the worker of one that runs is told. Throws
   * `not-found`, `conflict` when all is over already.
   */
  async cancel(id: string, reason: string): Promise<void> {
    await this.#change(id, async (trx, jobs, tenant) => {
      const open = jobs.filter(({ state }) => !FINISHED.includes(state));
      if (open.length === 0) throw conflict(`job ${id} is over: ${jobs[0]!.state}`);
      const told = open.filter(({ state }) => state === 'running');
      if (told.length > 0) {
        await trx
          .updateTable('jobs')
          .set({ cancel_reason: reason })
          .where(
            'id',
            'in',
            told.map((job) => job.id),
          )
          .execute();
        await announceJobs(trx, 'changed');
      }
      for (const job of open) {
        // What is being published is done: its names are about to be there.
        if (job.state === 'running' || job.state === 'publishing') continue;
        await endJob(trx, tenant, job.id, { state: 'canceled', result: { error: reason } });
      }
    });
  }

  /**
   * Has a job tried once more that came to no good end, or all of a pipeline that did; what was skipped for it waits
   * for it again. Throws `not-found`, `conflict`.
   */
  async retry(id: string): Promise<void> {
    await this.#change(id, async (trx, jobs, tenant) => {
      const bad = jobs.filter(({ state }) => state === 'failed' || state === 'canceled');
      if (bad.length === 0) throw conflict(`job ${id} has not failed: ${jobs[0]!.state}`);
      if (tenant.removed_at !== null) throw conflict(`the tenant of job ${id} was removed`);
      for (const job of bad) await reopen(trx, job);
      await admit(trx, tenant);
    });
  }

  /** Forgets a job, or a pipeline, that is over. Throws `not-found`, `conflict`. What its log had in the content store. */
  async remove(id: string): Promise<string[]> {
    let locations: string[] = [];
    await this.#change(id, async (trx, jobs) => {
      const open = jobs.find(({ state }) => !FINISHED.includes(state));
      if (open) throw conflict(`job ${id} is not over: ${open.state}`);
      locations = await forget(
        trx,
        jobs.map((job) => job.id),
      );
    });
    return locations;
  }

  /** Forgets up to `limit` jobs that were over before `moment`, and are needed by none that is not. */
  async removeOld(moment: number, limit: number): Promise<{ count: number; locations: string[] }> {
    return await inTransaction(this.#db, async (trx) => {
      const old = await trx
        .selectFrom('jobs')
        .select('id')
        .where('finished_at', '<=', moment)
        .where('state', 'in', FINISHED)
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('job_needs')
                .innerJoin('jobs as dependent', 'dependent.id', 'job_needs.job_id')
                .select('dependent.id')
                .whereRef('job_needs.needs_id', '=', 'jobs.id')
                .where('dependent.state', 'not in', FINISHED),
            ),
          ),
        )
        .orderBy('finished_at')
        .limit(limit)
        .execute();
      if (old.length === 0) return { count: 0, locations: [] };
      return {
        count: old.length,
        locations: await forget(
          trx,
          old.map((job) => job.id),
        ),
      };
    });
  }

  /** With the tenant's row locked first, then the jobs of this id, or of this pipeline. */
  async #change(
    id: string,
    task: (
      trx: PoolDatabase,
      jobs: readonly JobRow[],
      tenant: Awaited<ReturnType<typeof lockTenant>>,
    ) => Promise<void>,
  ): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const named = trx
        .selectFrom('jobs')
        .select(['id', 'tenant', 'confined', 'state', 'dedup_key', 'due_at'])
        .where(({ or, eb }) => or([eb('public_id', '=', id), eb('pipeline', '=', id)]))
        .orderBy('id');
      const [first] = await named.execute();
      if (!first) throw notFound(`no such job: ${id}`);
      const tenant = await lockTenant(trx, first.tenant);
      await task(trx, await named.forUpdate().execute(), tenant);
    });
  }
}

async function reopen(trx: PoolDatabase, job: JobRow): Promise<void> {
  if (job.dedup_key !== null) {
    const twin = await trx
      .selectFrom('jobs')
      .select('public_id')
      .where('tenant', '=', job.tenant)
      .where('confined', '=', job.confined)
      .where('dedup_key', '=', job.dedup_key)
      .where('state', 'not in', FINISHED)
      .executeTakeFirst();
    if (twin) throw conflict(`job ${twin.public_id} has its deduplication key by now`);
  }
  const needs = await trx
    .selectFrom('job_needs')
    .innerJoin('jobs', 'jobs.id', 'job_needs.needs_id')
    .select('jobs.id')
    .where('job_needs.job_id', '=', job.id)
    .where('jobs.state', '!=', 'succeeded')
    .execute();
  await trx
    .updateTable('jobs')
    .set({
      state: needs.length > 0 ? 'blocked' : 'held',
      // Attempts go on counting: what an earlier one still has to say stays fenced off.
      max_attempts: sql<number>`attempt + max_attempts`,
      due_at: null,
      worker: null,
      worker_epoch: null,
      cancel_reason: null,
      result: null,
      finished_at: null,
    })
    .where('id', '=', job.id)
    .execute();
  const skipped = await trx
    .selectFrom('job_needs')
    .innerJoin('jobs', 'jobs.id', 'job_needs.job_id')
    .select(['jobs.id', 'jobs.tenant', 'jobs.confined', 'jobs.state', 'jobs.dedup_key', 'jobs.due_at'])
    .where('job_needs.needs_id', '=', job.id)
    .where('jobs.state', '=', 'skipped')
    .execute();
  for (const dependent of skipped) await reopen(trx, dependent);
}

async function forget(trx: PoolDatabase, ids: readonly number[]): Promise<string[]> {
  const chunks = await trx
    .selectFrom('job_log_chunks')
    .select('location')
    .where('job_id', 'in', ids)
    .where('location', 'is not', null)
    .execute();
  // By name, as SQLite follows references only where it was told to.
  await trx.deleteFrom('job_log_chunks').where('job_id', 'in', ids).execute();
  await trx.deleteFrom('job_hook_deliveries').where('job_id', 'in', ids).execute();
  await trx
    .deleteFrom('job_needs')
    .where(({ or, eb }) => or([eb('job_id', 'in', ids), eb('needs_id', 'in', ids)]))
    .execute();
  await trx.deleteFrom('jobs').where('id', 'in', ids).execute();
  return chunks.map(({ location }) => location!);
}
