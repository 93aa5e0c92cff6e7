import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely';
import { databaseNow, isPostgres } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { PoolSchema } from '#database/pool/schema.ts';
import { inTransaction } from '#database/transaction.ts';
import type { Claimant } from '../jobs/job.ts';

/** Said to all gateways when a step is over for which somebody waits. */
export const STEPS_CHANNEL = 'slipway_steps';

/** A step, by the cache that it is shared in and its key there; and which try at it. */
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

/** Milliseconds for which it is known how a step ended, to those who wait and were about to ask again. */
const REMEMBERED = 60_000;
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

  /** False when another worker has it. A worker has no step twice: what it tried before is over. */
  async take({ worker, epoch }: Claimant, { scope, key, attempt }: StepTry): Promise<boolean> {
    const now = databaseNow(this.#db);
    const row = { worker, epoch, attempt, claimed_at: now, finished_at: null, ended_at: null, outcome: null };
    const taken = await this.#db
      .insertInto('step_claims')
      .values({ scope, key, ...row, wanted: 0 })
      .onConflict((conflict) =>
        conflict
          .columns(['scope', 'key'])
          .doUpdateSet({ ...row, wanted: 0 })
          .where((step) =>
            step.or([
              step('step_claims.ended_at', 'is not', null),
              step.and([step('step_claims.worker', '=', worker), step('step_claims.epoch', '=', epoch)]),
              step.not(step.exists(this.#holder(step))),
            ]),
          ),
      )
      .returning('attempt')
      .executeTakeFirst();
    return taken !== undefined;
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

  /** It is done, and on its way to where others find it. Answers whether somebody waits for it. */
  async finished({ scope, key, attempt }: StepTry): Promise<boolean> {
    const row = await this.#db
      .updateTable('step_claims')
      .set({ finished_at: sql<number>`coalesce(finished_at, ${databaseNow(this.#db)})` })
      .where('scope', '=', scope)
      .where('key', '=', key)
      .where('attempt', '=', attempt)
      .returning('wanted')
      .executeTakeFirst();
    return row?.wanted === 1;
  }

  /** Answers whether somebody waits, at whichever gateway. */
  async end({ scope, key, attempt }: StepTry, outcome: StepEnd): Promise<boolean> {
    const own = (db: PoolDatabase) =>
      db
        .deleteFrom('step_claims')
        .where('scope', '=', scope)
        .where('key', '=', key)
        .where('attempt', '=', attempt);
    const deleted = await own(this.#db).where('wanted', '=', 0).executeTakeFirst();
    if (deleted.numDeletedRows === 1n) return false;
    return await inTransaction(this.#db, async (trx) => {
      const now = databaseNow(trx);
      const { numUpdatedRows } = await trx
        .updateTable('step_claims')
        .set({ ended_at: now, outcome })
        .where('scope', '=', scope)
        .where('key', '=', key)
        .where('attempt', '=', attempt)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) return false;
      await trx
        .deleteFrom('step_claims')
        .where((step) =>
          step.or([
            step('ended_at', '<', sql<number>`${now} - ${REMEMBERED}`),
            step('claimed_at', '<', sql<number>`${now} - ${FORGOTTEN}`),
          ]),
        )
        .execute();
      if (isPostgres(trx)) await sql`select pg_notify(${STEPS_CHANNEL}, '')`.execute(trx);
      return true;
    });
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
