import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely';
import { databaseNow, isPostgres } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { PoolSchema } from '#database/pool/schema.ts';
import type { Claimant } from '../jobs/job.ts';

/** Said to all gateways when a step is over for which somebody waits. */
export const STEPS_CHANNEL = 'slipway_steps';

/** A step, by the cache that it is shared in and its key there; and which try at it, by a name that no other try has. */
export interface StepTry {
  readonly scope: string;
  readonly key: string;
  readonly attempt: string;
}

export type StepEnd = 'done' | 'left' | 'failed';

/** How it stands with a step: somebody has it, one of those who wait may, or each of them. */
export type StepState =
  | { readonly state: 'claimed'; readonly worker: string; readonly attempt: string }
  | { readonly state: 'free' | 'alone' };

/** So many tries a report may speak of. */
export const MAX_REPORTED = 200;

/** What a worker has got done of what it had claimed. */
export interface StepReport {
  /** Tries that are done, and on their way to where others find it. */
  readonly finished: readonly string[];
  readonly ended: readonly { readonly attempt: string; readonly outcome: StepEnd }[];
}

/** Milliseconds for which it is known that somebody had a step: who begins a build looks all of its steps up at first. */
const REMEMBERED = 60 * 60_000;
/** What a worker has left behind that never came back. */
const FORGOTTEN = 24 * 60 * 60_000;
/** At least so long, in milliseconds, a step is waited for that is done and not to be found yet. */
const PATIENCE = 5_000;

/**
 * Which worker does which step of a build. A claim is good for as long as its worker's lease: nobody keeps it, and what
 * a worker had is free when that is lost or begins anew.
 */
export class StepClaimsRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /**
   * undefined when another worker has it; else whether somebody had it before, so that it may have been done. A worker has no
   * step twice: what it tried before is over.
   */
  async take(
    { worker, epoch }: Claimant,
    { scope, key, attempt }: StepTry,
  ): Promise<'new' | 'again' | undefined> {
    const now = databaseNow(this.#db);
    const row = { worker, epoch, attempt, wanted: 0, claimed_at: now };
    const inserted = await this.#db
      .insertInto('step_claims')
      .values({ scope, key, ...row })
      .onConflict((conflict) => conflict.doNothing())
      .returning('attempt')
      .executeTakeFirst();
    if (inserted) return 'new';
    const { numUpdatedRows } = await this.#db
      .updateTable('step_claims')
      .set({ ...row, finished_at: null, ended_at: null, outcome: null })
      .where('scope', '=', scope)
      .where('key', '=', key)
      .where((step) =>
        step.or([
          step('ended_at', 'is not', null),
          step.and([step('worker', '=', worker), step('epoch', '=', epoch)]),
          step.not(step.exists(this.#holder(step))),
        ]),
      )
      .executeTakeFirst();
    return numUpdatedRows === 1n ? 'again' : undefined;
  }

  /** Of somebody who waits for it. */
  async state({ scope, key, attempt }: StepTry): Promise<StepState> {
    await this.#db
      .updateTable('step_claims')
      .set({ wanted: 1 })
      .where('scope', '=', scope)
      .where('key', '=', key)
      .where('wanted', '=', 0)
      .execute();
    const row = await this.#db
      .selectFrom('step_claims')
      .leftJoin('workers', 'workers.id', 'step_claims.worker')
      .select(['step_claims.attempt', 'outcome', 'workers.name'])
      .select((step) => [
        sql<number>`${step.exists(this.#holder(step))}`.as('held'),
        sql<number>`coalesce(${databaseNow(this.#db)} - finished_at > ${PATIENCE}
          and ${databaseNow(this.#db)} - finished_at > finished_at - claimed_at, false)`.as('late'),
      ])
      .where('scope', '=', scope)
      .where('key', '=', key)
      .executeTakeFirst();
    if (!row) return { state: 'free' };
    if (row.outcome !== null) {
      const isOld = row.attempt !== attempt;
      return { state: isOld || row.outcome === 'left' ? 'free' : 'alone' };
    }
    if (!row.held) return { state: 'free' };
    if (row.late) return { state: 'alone' };
    return { state: 'claimed', worker: row.name ?? '', attempt: row.attempt };
  }

  /**
   * Answers the tries of those that are finished for which somebody waits; `onEnd` hears that somebody waited for one that is
   * over. What a worker says of another's tries counts for nothing.
   */
  async report(worker: string, { finished, ended }: StepReport, onEnd: () => void): Promise<string[]> {
    let isWaited = false;
    for (const outcome of ['done', 'left', 'failed'] as const) {
      const attempts = ended.filter((each) => each.outcome === outcome).map(({ attempt }) => attempt);
      if (attempts.length > 0 && (await this.#end(worker, attempts, outcome))) isWaited = true;
    }
    if (isWaited) {
      onEnd();
      if (isPostgres(this.#db)) await sql`select pg_notify(${STEPS_CHANNEL}, '')`.execute(this.#db);
    }
    if (finished.length === 0) return [];
    const rows = await this.#db
      .updateTable('step_claims')
      .set({ finished_at: sql<number>`coalesce(finished_at, ${databaseNow(this.#db)})` })
      .where('attempt', 'in', [...finished])
      .where('worker', '=', worker)
      .returning(['attempt', 'wanted'])
      .execute();
    return rows.filter(({ wanted }) => wanted === 1).map(({ attempt }) => attempt);
  }

  /** Forgets what was over long ago. */
  async prune(): Promise<void> {
    const now = databaseNow(this.#db);
    await this.#db
      .deleteFrom('step_claims')
      .where((step) =>
        step.or([
          step('ended_at', '<', sql<number>`${now} - ${REMEMBERED}`),
          step('claimed_at', '<', sql<number>`${now} - ${FORGOTTEN}`),
        ]),
      )
      .execute();
  }

  async #end(worker: string, attempts: readonly string[], outcome: StepEnd): Promise<boolean> {
    const rows = await this.#db
      .updateTable('step_claims')
      .set({ ended_at: databaseNow(this.#db), outcome })
      .where('attempt', 'in', [...attempts])
      .where('worker', '=', worker)
      .returning('wanted')
      .execute();
    return rows.some(({ wanted }) => wanted === 1);
  }

  /** The worker of a claim, if its lease is the one that the claim was made with. */
  #holder(step: ExpressionBuilder<PoolSchema, 'step_claims'>): Expression<unknown> & Expression<SqlBool> {
    return step
      .selectFrom('workers')
      .select('workers.id')
      .whereRef('workers.id', '=', 'step_claims.worker')
      .whereRef('workers.epoch', '=', 'step_claims.epoch')
      .where('workers.state', '!=', 'lost')
      .where('workers.lease_expires_at', '>', databaseNow(this.#db)) as never;
  }
}
