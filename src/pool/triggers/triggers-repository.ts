import { randomBytes } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import { databaseNow, isPostgres } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { PoolSchema } from '#database/pool/schema.ts';
import { inTransaction } from '#database/transaction.ts';
import { conflict, notFound } from '#errors/errors.ts';
import type { NewJob } from '../jobs/job.ts';
import { JobsRepository } from '../jobs/jobs-repository.ts';
import { lockPresentTenant } from '../jobs/tenant-row.ts';
import type { Trigger, TriggerSource } from './trigger.ts';

export interface TriggerSettings {
  readonly source: TriggerSource;
  readonly submission: unknown;
  readonly enabled: boolean;
  readonly secret: string | null;
  readonly dueAt: number | null;
  readonly confined: boolean;
}

/** What a start of a trigger changes, and whose turn it is: two that see the same take it once. */
export interface Firing {
  readonly trigger: Pick<Trigger, 'id' | 'dueAt'> & { readonly seen?: string | null };
  readonly dueAt: number | null;
  readonly seen?: string;
  readonly event?: string;
}

/** What asks for jobs by itself, and what came of it. */
export class TriggersRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** The database's clock: no gateway's own has a say in when something is due. */
  async now(): Promise<number> {
    const { rows } = await sql<{ now: number }>`select ${databaseNow(this.#db)} as now`.execute(this.#db);
    return Number(rows[0]!.now);
  }

  /**
   * Makes a trigger, or changes one: a secret stays unless a new one is given. Throws `not-found` for a tenant, `conflict`
   * for a name that the operator has given and its tenant wants, or the other way around.
   */
  async put(tenant: string, name: string, settings: TriggerSettings): Promise<Trigger> {
    return await inTransaction(this.#db, async (trx) => {
      await lockPresentTenant(trx, tenant);
      const values = {
        source: JSON.stringify(settings.source),
        submission: JSON.stringify(settings.submission),
        enabled: settings.enabled ? 1 : 0,
        due_at: settings.dueAt,
        seen: null,
        last_error: null,
      };
      const row = await trx
        .insertInto('job_triggers')
        .values({
          id: randomBytes(16).toString('hex'),
          tenant,
          name,
          ...values,
          confined: settings.confined ? 1 : 0,
          secret: settings.secret,
          fired_at: null,
          last_id: null,
          created_at: databaseNow(trx),
        })
        .onConflict((taken) =>
          taken
            .columns(['tenant', 'name'])
            .doUpdateSet({ ...values, ...(settings.secret !== null && { secret: settings.secret }) })
            .where('job_triggers.confined', '=', settings.confined ? 1 : 0),
        )
        .returningAll()
        .executeTakeFirst();
      if (!row)
        throw conflict(`the trigger ${name} is ${settings.confined ? 'the operator’s' : 'the tenant’s own'}`);
      return triggerOf(row);
    });
  }

  async list(tenant: string | undefined, { confined }: { confined?: boolean } = {}): Promise<Trigger[]> {
    let query = this.#db.selectFrom('job_triggers').selectAll().orderBy('tenant').orderBy('name');
    if (tenant !== undefined) query = query.where('tenant', '=', tenant);
    if (confined !== undefined) query = query.where('confined', '=', Number(confined));
    return (await query.execute()).map(triggerOf);
  }

  /** Throws `not-found`. */
  async get(tenant: string, name: string): Promise<Trigger & { readonly hasSecret: boolean }> {
    const row = await this.#db
      .selectFrom('job_triggers')
      .selectAll()
      .where('tenant', '=', tenant)
      .where('name', '=', name)
      .executeTakeFirst();
    if (!row) throw notFound(`no such trigger: ${name}`);
    return { ...triggerOf(row), hasSecret: row.secret !== null };
  }

  /** Whoever sends to this id. Throws `not-found`. */
  async receiver(id: string): Promise<{ trigger: Trigger; secret: string }> {
    const row = await this.#db.selectFrom('job_triggers').selectAll().where('id', '=', id).executeTakeFirst();
    if (!row || row.secret === null) throw notFound('no such trigger');
    return { trigger: triggerOf(row), secret: row.secret };
  }

  /** Throws `not-found`. */
  async remove(tenant: string, name: string): Promise<void> {
    const { id } = await this.get(tenant, name);
    await this.#db.deleteFrom('job_trigger_events').where('trigger_id', '=', id).execute();
    await this.#db.deleteFrom('job_triggers').where('id', '=', id).execute();
  }

  /** Times that have come. */
  async dueSchedules(limit: number): Promise<Trigger[]> {
    const rows = await this.#due('schedule').orderBy('due_at').limit(limit).execute();
    return rows.map(triggerOf);
  }

  /** Images that are to be looked at: `ofOne` of each tenant at most, and none of `except`. */
  async dueImages({
    limit,
    ofOne,
    except,
  }: {
    limit: number;
    ofOne: number;
    except: readonly string[];
  }): Promise<(Trigger & { readonly seen: string | null })[]> {
    const place = sql<number>`row_number() over (partition by tenant order by due_at, id)`;
    let due = this.#due('image').select(place.as('place'));
    if (except.length > 0) due = due.where('tenant', 'not in', except);
    const rows = await this.#db
      .selectFrom(due.as('due'))
      .selectAll()
      .where('place', '<=', ofOne)
      .orderBy('place')
      .orderBy('due_at')
      .limit(limit)
      .execute();
    return rows.map((row) => ({ ...triggerOf(row), seen: row.seen }));
  }

  #due(kind: TriggerSource['kind']) {
    const named = isPostgres(this.#db)
      ? sql<string>`source::json->>'kind'`
      : sql<string>`json_extract(source, '$.kind')`;
    return this.#db
      .selectFrom('job_triggers')
      .selectAll()
      .where('due_at', '<=', databaseNow(this.#db))
      .where('enabled', '=', 1)
      .where(named, '=', kind);
  }

  /** Puts a trigger's next time off; false when another process was first. */
  async take({ id, dueAt }: Trigger, next: number): Promise<boolean> {
    const taken = await this.#db
      .updateTable('job_triggers')
      .set({ due_at: next })
      .where('id', '=', id)
      .where('due_at', '=', dueAt)
      .where('enabled', '=', 1)
      .executeTakeFirst();
    return taken.numUpdatedRows === 1n;
  }

  /**
   * Starts what a trigger asks for, in the transaction that marks it as started: thus once, whoever else may be at it.
   * The id of the job or pipeline; undefined when somebody was first. `jobs` may be none: then it is only marked.
   */
  async fire(firing: Firing, made: { id?: string; jobs: readonly NewJob[] }): Promise<string | undefined> {
    return await inTransaction(this.#db, async (trx) => {
      if (!(await mark(trx, firing))) return undefined;
      if (made.jobs.length === 0) return '';
      const [first] = await new JobsRepository(trx).enqueueAll(made.jobs);
      const last_id = made.id ?? first!.job.id;
      await trx
        .updateTable('job_triggers')
        .set({ last_id, last_error: null, fired_at: databaseNow(trx) })
        .where('id', '=', firing.trigger.id)
        .execute();
      return last_id;
    });
  }

  async noteError(id: string, error: string): Promise<void> {
    await this.#db
      .updateTable('job_triggers')
      .set({ last_error: error.slice(0, 1000) })
      .where('id', '=', id)
      .execute();
  }

  /** Forgets events that came before `age` milliseconds ago. */
  async forgetEvents(age: number): Promise<void> {
    await this.#db
      .deleteFrom('job_trigger_events')
      .where('at', '<', sql<number>`${databaseNow(this.#db)} - ${age}`)
      .execute();
  }
}

async function mark(trx: PoolDatabase, { trigger, dueAt, seen, event }: Firing): Promise<boolean> {
  if (event !== undefined) {
    const added = await trx
      .insertInto('job_trigger_events')
      .values({ trigger_id: trigger.id, event, at: databaseNow(trx) })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    return added.numInsertedOrUpdatedRows === 1n;
  }
  let update = trx
    .updateTable('job_triggers')
    .set({ due_at: dueAt, ...(seen !== undefined && { seen }) })
    .where('id', '=', trigger.id)
    .where('enabled', '=', 1);
  if (seen === undefined) update = update.where('due_at', '=', trigger.dueAt);
  else update = update.where(sql<boolean>`seen is not distinct from ${trigger.seen ?? null}`);
  return (await update.executeTakeFirst()).numUpdatedRows === 1n;
}

function triggerOf(row: Selectable<PoolSchema['job_triggers']>): Trigger {
  const { id, tenant, name, source, submission } = row;
  return {
    id,
    tenant,
    name,
    confined: row.confined === 1,
    source: JSON.parse(source),
    submission: JSON.parse(submission),
    enabled: row.enabled === 1,
    dueAt: row.due_at,
    firedAt: row.fired_at,
    lastId: row.last_id,
    lastError: row.last_error,
  };
}
