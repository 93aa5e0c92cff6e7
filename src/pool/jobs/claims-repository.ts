import { type RawBuilder, sql } from 'kysely';
import { databaseNow, isPostgres } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { admit } from './admission-repository.ts';
import { endJob, type JobEnd } from './ends.ts';
import type { Claim, Claimant, ClaimedJob, HeldClaim } from './job.ts';
import { lockTenant } from './tenant-row.ts';

/** In milliseconds: before what a lost worker was at is tried again, times two for each attempt. */
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;

interface ClaimedRow {
  id: string;
  attempt: number;
  tenant: string;
  confined: number;
  kind: string;
  spec: string;
  timeout: number;
  priority: number;
  turn: number;
}

/** `confined`: as of `Job`. */
export type Claimed = Omit<ClaimedJob, 'confinedTo'> & { readonly confined: boolean };

/**
 * Who works on what. A claim lasts as long as the lease of its worker, and is known by the job's attempt: whoever had it
 * before, and comes back, can neither end the job nor do anything else in its name.
 */
export class ClaimsRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /**
   * Takes up to `limit` jobs that the worker can do: by priority, then by turn, those that are kept for another worker
   * left out. None when its lease is another's by now, or it is being drained. One statement, and processes that claim at once do not wait for
   * each other.
   */
  async claim(claimant: Claimant, requirements: readonly string[], limit: number): Promise<Claimed[]> {
    if (requirements.length === 0) return [];
    const now = databaseNow(this.#db);
    // As a common table expression it is read once, whatever the plan; a subquery that skips locks may not be.
    const { rows } = await sql<ClaimedRow>`
      with candidates as (${this.#candidates(claimant, requirements, limit, now)})
      update jobs set state = 'running', attempt = attempt + 1, started_at = ${now},
        worker = ${claimant.worker}, worker_epoch = ${claimant.epoch}
      where id in (select id from candidates)
        and exists (select 1 from workers where workers.id = ${claimant.worker}
          and workers.epoch = ${claimant.epoch} and workers.lease_expires_at > ${now}
          and workers.state = 'ready')
      returning public_id as id, attempt, tenant, confined, kind, spec, timeout, priority, turn`.execute(
      this.#db,
    );
    return rows
      .toSorted((one, other) => other.priority - one.priority || one.turn - other.turn)
      .map(({ priority: _, turn: __, spec, confined, ...claimed }) => ({
        ...claimed,
        spec: JSON.parse(spec),
        confined: confined === 1,
      }));
  }

  /** The ids of the best jobs of each requirement, and of those the best. */
  #candidates(
    { worker }: Claimant,
    requirements: readonly string[],
    limit: number,
    now: RawBuilder<number>,
  ): RawBuilder<unknown> {
    const ofOne = (requirement: RawBuilder<unknown>) => sql`
      select id, priority, turn from jobs
      where state = 'queued' and requirement = ${requirement}
        and (preferred_worker is null or preferred_worker = ${worker} or preferred_until <= ${now})
      order by priority desc, turn, id limit ${limit}`;
    const best = sql`order by priority desc, turn, id limit ${limit}`;
    if (isPostgres(this.#db)) {
      return sql`select id from unnest(${sql.val([...requirements])}::text[]) as offered(requirement),
        lateral (${ofOne(sql`offered.requirement`)} for update skip locked) as candidates ${best}`;
    }
    const each = requirements.map((requirement) => sql`select * from (${ofOne(sql`${requirement}`)})`);
    return sql`select id from (${sql.join(each, sql` union all `)}) ${best}`;
  }

  /** Ends a job; false when the claim is no longer good, and then nothing happened. */
  async end(claim: Claim, claimant: Claimant, end: JobEnd): Promise<boolean> {
    if (await this.#endAlone(claim, claimant, end)) return true;
    return await inTransaction(this.#db, async (trx) => {
      const job = await heldBy(trx, claim, claimant).executeTakeFirst();
      if (!job) return false;
      const tenant = await lockTenant(trx, job.tenant);
      if (!(await heldBy(trx, claim, claimant).forUpdate().executeTakeFirst())) return false;
      await endJob(trx, tenant, job.id, end);
      return true;
    });
  }

  /** In one statement, where neither other jobs nor the tenant's wait for this one's end. */
  async #endAlone(claim: Claim, claimant: Claimant, { state, result }: JobEnd): Promise<boolean> {
    const updated = await this.#db
      .updateTable('jobs')
      .set({ state, result: JSON.stringify(result), finished_at: databaseNow(this.#db) })
      .where('public_id', '=', claim.id)
      .where('state', '=', 'running')
      .where('attempt', '=', claim.attempt)
      .where('worker', '=', claimant.worker)
      .where('worker_epoch', '=', claimant.epoch)
      .where('dependents', '=', 0)
      .where('tenant', 'in', ({ selectFrom }) =>
        selectFrom('tenants').select('name').where('max_running', 'is', null),
      )
      .executeTakeFirst();
    return updated.numUpdatedRows === 1n;
  }

  /** What a worker is at, as far as the pool knows: what is not in it, it need not go on with. */
  async of(claimant: Claimant): Promise<HeldClaim[]> {
    const rows = await this.#db
      .selectFrom('jobs')
      .select(['public_id', 'attempt', 'cancel_reason'])
      .where('state', '=', sql.lit('running'))
      .where('worker', '=', claimant.worker)
      .where('worker_epoch', '=', claimant.epoch)
      .execute();
    return rows.map((row) => ({ id: row.public_id, attempt: row.attempt, cancelReason: row.cancel_reason }));
  }

  /**
   * What a job has made is there, and gets its names: from here on it is not the worker's any more. False as for `end`.
   */
  async publish(claim: Claim, claimant: Claimant, result: unknown, lease: number): Promise<boolean> {
    const updated = await this.#db
      .updateTable('jobs')
      .set({
        state: 'publishing',
        result: JSON.stringify(result),
        due_at: sql<number>`${databaseNow(this.#db)} + ${lease}`,
      })
      .where('public_id', '=', claim.id)
      .where('state', '=', 'running')
      .where('attempt', '=', claim.attempt)
      .where('worker', '=', claimant.worker)
      .where('worker_epoch', '=', claimant.epoch)
      .executeTakeFirst();
    return updated.numUpdatedRows === 1n;
  }

  /** A worker that cannot do a job, through no fault of the job's: as `release`. False as for `end`. */
  async giveBack(claim: Claim, claimant: Claimant, reason: string): Promise<boolean> {
    return await inTransaction(this.#db, async (trx) => {
      const job = await heldBy(trx, claim, claimant).executeTakeFirst();
      if (!job) return false;
      const tenant = await lockTenant(trx, job.tenant);
      const held = await heldBy(trx, claim, claimant).forUpdate().executeTakeFirst();
      if (!held) return false;
      if (await again(trx, tenant, held, reason)) await admit(trx, tenant);
      return true;
    });
  }

  /**
   * Has what a lost worker was at done by others, after a pause; what was tried often enough fails, and what somebody
   * wanted canceled is. The caller has taken the worker's lease away in the same transaction.
   */
  async release(trx: PoolDatabase, lost: Claimant): Promise<{ again: number; ended: number }> {
    const running = trx
      .selectFrom('jobs')
      .select(['id', 'tenant', 'attempt', 'max_attempts', 'cancel_reason'])
      .where('state', '=', sql.lit('running'))
      .where('worker', '=', lost.worker)
      .where('worker_epoch', '<=', lost.epoch)
      .orderBy('id');
    const names = new Set((await running.execute()).map((row) => row.tenant));
    const tenants = new Map<string, Awaited<ReturnType<typeof lockTenant>>>();
    for (const name of [...names].toSorted()) tenants.set(name, await lockTenant(trx, name));
    const counts = { again: 0, ended: 0 };
    for (const row of await running.forUpdate().execute()) {
      const reason = `its worker was lost (attempt ${row.attempt})`;
      if (await again(trx, tenants.get(row.tenant)!, row, reason)) counts.again++;
      else counts.ended++;
    }
    for (const tenant of tenants.values()) await admit(trx, tenant);
    return counts;
  }

  /** What workers were at before they got the leases that they have now: they know nothing of it any more. */
  async releaseOrphans(): Promise<number> {
    const orphans = await this.#db
      .selectFrom('jobs')
      .innerJoin('workers', 'workers.id', 'jobs.worker')
      .select(['workers.id', 'workers.epoch'])
      .distinct()
      .where('jobs.state', '=', 'running')
      .whereRef('jobs.worker_epoch', '<', 'workers.epoch')
      .execute();
    let count = 0;
    for (const { id: worker, epoch } of orphans) {
      const released = await inTransaction(this.#db, (trx) =>
        this.release(trx, { worker, epoch: epoch - 1 }),
      );
      count += released.again + released.ended;
    }
    return count;
  }
}

interface TriedRow {
  readonly id: number;
  readonly attempt: number;
  readonly max_attempts: number;
  readonly cancel_reason: string | null;
}

/** Lets a job be tried again after a pause; false when it was tried often enough, or is not wanted any more: it ended. */
async function again(
  trx: PoolDatabase,
  tenant: Awaited<ReturnType<typeof lockTenant>>,
  { id, attempt, max_attempts, cancel_reason }: TriedRow,
  reason: string,
): Promise<boolean> {
  if (cancel_reason !== null || attempt >= max_attempts) {
    const state = cancel_reason === null ? 'failed' : 'canceled';
    await endJob(trx, tenant, id, { state, result: { error: cancel_reason ?? reason } });
    return false;
  }
  const pause = Math.min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE);
  await trx
    .updateTable('jobs')
    .set({
      state: 'delayed',
      due_at: sql<number>`${databaseNow(trx)} + ${pause}`,
      worker: null,
      worker_epoch: null,
      preferred_worker: null,
    })
    .where('id', '=', id)
    .execute();
  return true;
}

function heldBy(trx: PoolDatabase, claim: Claim, claimant: Claimant) {
  return trx
    .selectFrom('jobs')
    .select(['id', 'tenant', 'attempt', 'max_attempts', 'cancel_reason'])
    .where('public_id', '=', claim.id)
    .where('state', '=', 'running')
    .where('attempt', '=', claim.attempt)
    .where('worker', '=', claimant.worker)
    .where('worker_epoch', '=', claimant.epoch);
}
