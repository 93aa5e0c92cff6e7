import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { invalid, notFound } from '#errors/errors.ts';
import { preferenceFor } from '../scheduler/warm-worker.ts';
import { admit } from './admission-repository.ts';
import { FINISHED, type Job, type JobState, type NewJob } from './job.ts';
import { jobOf } from './job-row.ts';
import { lockPresentTenant } from './tenant-row.ts';
import { takeTurns } from './turns.ts';
import { warmWorker } from './warm-workers-repository.ts';

/** Jobs that were asked for. Any number of processes may ask at once. */
export class JobsRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /**
   * Puts down a job, or finds the unfinished one of the same tenant and deduplication key. Throws `not-found` for a
   * tenant, `invalid` for a need that is not there.
   */
  async enqueue(job: NewJob): Promise<{ readonly job: Job; readonly isNew: boolean }> {
    const [enqueued] = await this.enqueueAll([job]);
    return enqueued!;
  }

  /** Puts down several jobs of one tenant in one step; a job may need those before it by their place (`#0`). */
  async enqueueAll(jobs: readonly NewJob[]): Promise<{ readonly job: Job; readonly isNew: boolean }[]> {
    return await inTransaction(this.#db, async (trx) => {
      const tenant = await lockPresentTenant(trx, jobs[0]!.tenant);
      const twins = await Promise.all(jobs.map((job) => unfinishedTwin(trx, job)));
      const turns = await takeTurns(trx, tenant, twins.filter((twin) => !twin).length);
      const enqueued: { id: string; isNew: boolean }[] = [];
      for (const [i, job] of jobs.entries()) {
        const twin = twins[i];
        if (twin !== undefined) {
          enqueued.push({ id: twin, isNew: false });
          continue;
        }
        const needs = (job.needs ?? []).map((need) =>
          need.startsWith('#') ? enqueued[Number(need.slice(1))]!.id : need,
        );
        enqueued.push({ id: await insert(trx, { ...job, needs }, turns.shift()!), isNew: true });
      }
      await admit(trx, tenant);
      const found = await allOf(
        trx,
        enqueued.map(({ id }) => id),
      );
      return enqueued.map(({ id, isNew }) => ({ job: found.get(id)!, isNew }));
    });
  }

  /** Throws `not-found`. */
  async get(id: string): Promise<Job> {
    const job = await find(this.#db, id);
    if (!job) throw notFound(`no such job: ${id}`);
    return job;
  }

  /** The job of this id, or those of the pipeline that it names, in the order in which they were added. Throws `not-found`. */
  async find(id: string): Promise<Job[]> {
    const rows = await this.#db
      .selectFrom('jobs')
      .selectAll()
      .where(({ or, eb }) => or([eb('public_id', '=', id), eb('pipeline', '=', id)]))
      .orderBy('id')
      .execute();
    if (rows.length === 0) throw notFound(`no such job: ${id}`);
    return rows.map(jobOf);
  }

  /** Newest first, before the job `before`. */
  async list(options: {
    tenant?: string | undefined;
    confined?: boolean | undefined;
    states?: readonly JobState[] | undefined;
    pipeline?: string | undefined;
    before?: string | undefined;
    limit: number;
  }): Promise<Job[]> {
    let query = this.#db.selectFrom('jobs').selectAll().orderBy('id', 'desc').limit(options.limit);
    if (options.tenant !== undefined) query = query.where('tenant', '=', options.tenant);
    if (options.confined !== undefined) query = query.where('confined', '=', Number(options.confined));
    if (options.pipeline !== undefined) query = query.where('pipeline', '=', options.pipeline);
    if (options.states !== undefined) query = query.where('state', 'in', options.states);
    if (options.before !== undefined) {
      const { before } = options;
      query = query.where('id', '<', ({ selectFrom }) =>
        selectFrom('jobs').select('id').where('public_id', '=', before),
      );
    }
    return (await query.execute()).map(jobOf);
  }

  /** How many a tenant has asked for that are not over. */
  async countOpen(tenant: string): Promise<number> {
    const { count } = await this.#db
      .selectFrom('jobs')
      .select(({ fn }) => fn.countAll().as('count'))
      .where('tenant', '=', tenant)
      .where('confined', '=', 1)
      .where('state', 'not in', FINISHED)
      .executeTakeFirstOrThrow();
    return Number(count);
  }

  /** How many jobs would be claimed before this one by workers that can do it; undefined when it does not wait. */
  async ahead(id: string): Promise<number | undefined> {
    const job = await this.#db
      .selectFrom('jobs')
      .select(['id', 'requirement', 'priority', 'turn', 'state'])
      .where('public_id', '=', id)
      .executeTakeFirst();
    if (job?.state !== 'queued') return undefined;
    const { count } = await this.#db
      .selectFrom('jobs')
      .select(({ fn }) => fn.countAll().as('count'))
      .where('state', '=', 'queued')
      .where('requirement', '=', job.requirement)
      .where(({ eb, and, or }) =>
        or([
          eb('priority', '>', job.priority),
          and([eb('priority', '=', job.priority), eb('turn', '<', job.turn)]),
          and([eb('priority', '=', job.priority), eb('turn', '=', job.turn), eb('id', '<', job.id)]),
        ]),
      )
      .executeTakeFirstOrThrow();
    return Number(count);
  }
}

async function unfinishedTwin(trx: PoolDatabase, job: NewJob): Promise<string | undefined> {
  if (job.dedupKey === undefined) return undefined;
  const row = await trx
    .selectFrom('jobs')
    .select('public_id')
    .where('tenant', '=', job.tenant)
    .where('confined', '=', Number(job.confined ?? false))
    .where('dedup_key', '=', job.dedupKey)
    .where('state', 'not in', FINISHED)
    .executeTakeFirst();
  return row?.public_id;
}

/** Its public id. */
async function insert(trx: PoolDatabase, job: NewJob, turn: number): Promise<string> {
  const now = databaseNow(trx);
  const needs = await needsOf(trx, job);
  const { affinity = null } = job;
  const preference =
    job.preference ?? (affinity === null ? undefined : preferenceFor(await warmWorker(trx, affinity)));
  const row = await trx
    .insertInto('jobs')
    .values({
      public_id: randomUUID(),
      tenant: job.tenant,
      confined: Number(job.confined ?? false),
      pipeline: job.pipeline ?? null,
      name: job.name,
      kind: job.kind,
      spec: JSON.stringify(job.spec),
      requirement: job.requirement,
      priority: job.priority,
      turn,
      state: needs.some((need) => need.state !== 'succeeded')
        ? 'blocked'
        : job.notBefore
          ? 'delayed'
          : 'held',
      dedup_key: job.dedupKey ?? null,
      attempt: 0,
      max_attempts: job.maxAttempts,
      due_at: job.notBefore ?? null,
      timeout: job.timeout,
      affinity,
      preferred_worker: preference?.worker ?? null,
      preferred_until: preference ? sql<number>`${now} + ${preference.duration}` : null,
      worker: null,
      worker_epoch: null,
      cancel_reason: null,
      result: null,
      created_at: now,
      started_at: null,
      finished_at: null,
    })
    .returning(['id', 'public_id'])
    .executeTakeFirstOrThrow();
  if (needs.length > 0) {
    await trx
      .insertInto('job_needs')
      .values(needs.map((need) => ({ job_id: row.id, needs_id: need.id })))
      .execute();
  }
  return row.public_id;
}

async function allOf(trx: PoolDatabase, ids: readonly string[]): Promise<Map<string, Job>> {
  const rows = await trx.selectFrom('jobs').selectAll().where('public_id', 'in', ids).execute();
  return new Map(rows.map((row) => [row.public_id, jobOf(row)]));
}

async function needsOf(trx: PoolDatabase, { needs = [], tenant, confined = false }: NewJob) {
  if (needs.length === 0) return [];
  // One that ends meanwhile sees by its own row that it is needed.
  const found = await trx
    .updateTable('jobs')
    .set({ dependents: sql<number>`dependents + 1` })
    .where('public_id', 'in', needs)
    .where('tenant', '=', tenant)
    .where('confined', '=', Number(confined))
    .returning(['id', 'public_id', 'state'])
    .execute();
  const known = new Set(found.map((need) => need.public_id));
  const missing = needs.find((need) => !known.has(need));
  if (missing !== undefined) throw invalid(`needs a job that is not there: ${missing}`);
  return found;
}

async function find(db: PoolDatabase, id: string): Promise<Job | undefined> {
  const row = await db.selectFrom('jobs').selectAll().where('public_id', '=', id).executeTakeFirst();
  return row && jobOf(row);
}
