import { sql } from 'kysely';
import { databaseNow, isPostgres } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { JobState } from '../jobs/job.ts';

/** A change of a job that somebody is still to be told of. */
export interface HookDelivery {
  readonly id: number;
  readonly hook: {
    readonly id: string;
    readonly url: string;
    readonly secret: string;
    readonly confined: boolean;
  };
  readonly job: {
    readonly id: string;
    readonly tenant: string;
    readonly pipeline: string | null;
    readonly name: string;
    readonly kind: string;
    readonly result: unknown;
  };
  readonly state: JobState;
  readonly attempt: number;
  readonly at: number;
  /** How often it was tried, this time included. */
  readonly tries: number;
}

/** What is to be said of jobs: the database writes it down with the change itself (`jobs_tell`). */
export class DeliveriesRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** Takes up to `limit` that are due, for `lease` milliseconds: by then they are settled, or somebody else takes them. */
  async take(limit: number, lease: number): Promise<HookDelivery[]> {
    const now = databaseNow(this.#db);
    const skip = isPostgres(this.#db) ? sql`for update skip locked` : sql``;
    const { rows: taken } = await sql<{ id: number }>`
      with due as (select id from job_hook_deliveries where due_at <= ${now}
        order by due_at limit ${limit} ${skip})
      update job_hook_deliveries set tries = tries + 1, due_at = ${now} + ${lease}
      where id in (select id from due) returning id`.execute(this.#db);
    if (taken.length === 0) return [];
    const rows = await this.#db
      .selectFrom('job_hook_deliveries as delivery')
      .innerJoin('job_hooks as hook', 'hook.id', 'delivery.hook_id')
      .innerJoin('jobs as job', 'job.id', 'delivery.job_id')
      .select(['delivery.id', 'delivery.state', 'delivery.attempt', 'delivery.at', 'delivery.tries'])
      .select(['hook.id as hook_id', 'hook.url', 'hook.secret', 'hook.confined'])
      .select(['job.public_id', 'job.tenant', 'job.pipeline', 'job.name', 'job.kind', 'job.result'])
      .where(
        'delivery.id',
        'in',
        taken.map(({ id }) => id),
      )
      .orderBy('delivery.id')
      .execute();
    return rows.map((row) => ({
      id: row.id,
      hook: { id: row.hook_id, url: row.url, secret: row.secret, confined: row.confined === 1 },
      job: {
        id: row.public_id,
        tenant: row.tenant,
        pipeline: row.pipeline,
        name: row.name,
        kind: row.kind,
        result: JSON.parse(row.result ?? 'null'),
      },
      state: row.state as JobState,
      attempt: row.attempt,
      at: row.at,
      tries: row.tries,
    }));
  }

  /** It was heard, or is given up. */
  async settle({ id, hook }: HookDelivery, result: string): Promise<void> {
    await this.#db.deleteFrom('job_hook_deliveries').where('id', '=', id).execute();
    await this.#note(hook.id, result);
  }

  /** It is tried again after `pause` milliseconds. */
  async putOff({ id, hook }: HookDelivery, pause: number, result: string): Promise<void> {
    await this.#db
      .updateTable('job_hook_deliveries')
      .set({ due_at: sql<number>`${databaseNow(this.#db)} + ${pause}` })
      .where('id', '=', id)
      .execute();
    await this.#note(hook.id, result);
  }

  async #note(hook: string, last_result: string): Promise<void> {
    await this.#db
      .updateTable('job_hooks')
      .set({ last_result: last_result.slice(0, 500), last_at: databaseNow(this.#db) })
      .where('id', '=', hook)
      .execute();
  }
}
