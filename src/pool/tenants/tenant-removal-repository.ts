import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { conflict, notFound } from '#errors/errors.ts';
import { admit, announceJobs } from '../jobs/admission-repository.ts';
import { DEFAULT_TENANT, FINISHED } from '../jobs/job.ts';
import { lockTenant } from '../jobs/tenant-row.ts';

/** After so long, in milliseconds, no gateway asks in the name of a tenant that was removed. */
const LAST_WORDS = 5_000;

/** What a worker has of a tenant, whose name it was then. */
export interface HeldTenant {
  readonly tenant: string;
  readonly generation: number;
}

/** The end of tenants: what the pool knows of one goes at once, and what workers have of it when they hear of it. */
export class TenantRemovalRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /**
   * Answers the workers that may have something of it; its jobs are canceled, as far as they are not being published. Throws `not-found`, `conflict` for whom jobs are for unless they
   * say otherwise.
   */
  async remove(name: string): Promise<string[]> {
    if (name === DEFAULT_TENANT)
      throw conflict(`'${name}' stays: jobs are on its share unless they say otherwise`);
    return await inTransaction(this.#db, async (trx) => {
      const now = databaseNow(trx);
      const marked = await trx
        .updateTable('tenants')
        .set({ removed_at: now })
        .where('name', '=', name)
        .where('removed_at', 'is', null)
        .executeTakeFirst();
      if (marked.numUpdatedRows === 0n) throw notFound(`there is no tenant '${name}'`);
      for (const table of ['tenant_members', 'tenant_policies'] as const)
        await trx.deleteFrom(table).where('tenant', '=', name).execute();
      const triggers = trx.selectFrom('job_triggers').select('id').where('tenant', '=', name);
      await trx.deleteFrom('job_trigger_events').where('trigger_id', 'in', triggers).execute();
      await trx.deleteFrom('job_triggers').where('tenant', '=', name).execute();
      const hooks = trx.selectFrom('job_hooks').select('id').where('tenant', '=', name);
      await trx.deleteFrom('job_hook_deliveries').where('hook_id', 'in', hooks).execute();
      await trx.deleteFrom('job_hooks').where('tenant', '=', name).execute();
      await cancelJobs(trx, name, 'its tenant was removed');
      // Whoever looks for what nobody has used for long takes away where they are.
      await trx.updateTable('job_contexts').set({ used_at: 0 }).where('tenant', '=', name).execute();
      const networks = trx.selectFrom('overlay_networks').select('id').where('tenant', '=', name);
      await trx.deleteFrom('overlay_endpoints').where('network_id', 'in', networks).execute();
      for (const table of [
        'overlay_networks',
        'placements',
        'build_sessions',
        'build_projects',
        'session_projects',
        'worker_contents',
        'published_ports',
      ] as const)
        await trx.deleteFrom(table).where('tenant', '=', name).execute();
      const workers = await trx.selectFrom('workers').select('name').distinct().orderBy('name').execute();
      for (const { name: worker } of workers) {
        await trx
          .insertInto('tenant_remains')
          .values({ tenant: name, worker, due_at: sql<number>`${now} + ${LAST_WORDS}` })
          .onConflict((known) => known.doNothing())
          .execute();
      }
      return workers.map(({ name: worker }) => worker);
    });
  }

  /**
   * Lets the name be somebody's again; not removed is no error. Throws `conflict` while workers have something of whose it was.
   * What jobs these had asked for is the operator's to look at.
   */
  async revive(name: string): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      const removed = await trx
        .selectFrom('tenants')
        .select('name')
        .where('name', '=', name)
        .where('removed_at', 'is not', null)
        .executeTakeFirst();
      if (!removed) return;
      const remains = await this.#workersWith(trx, name);
      if (remains.length > 0) {
        throw conflict(
          `the former tenant '${name}' is still on ${remains.join(', ')}: wait, or remove workers that do not come back (slipway pool worker-remove)`,
        );
      }
      const open = await trx
        .selectFrom('jobs')
        .select('id')
        .where('tenant', '=', name)
        .where('confined', '=', 1)
        .where('state', 'not in', FINISHED)
        .executeTakeFirst();
      if (open) throw conflict(`jobs of the former tenant '${name}' are not over`);
      await trx.updateTable('jobs').set({ confined: 0 }).where('tenant', '=', name).execute();
      const now = databaseNow(trx);
      await trx
        .updateTable('tenants')
        .set({
          removed_at: null,
          // A moment: also larger than those that an older copy of this database would have counted to.
          generation: sql<number>`case when ${now} > generation then ${now} else generation + 1 end`,
        })
        .where('name', '=', name)
        .execute();
    });
  }

  /**
   * The tenants of which a worker is to keep nothing, up to which generation. `held`: those of which it has something: what is
   * a former tenant's goes from workers, too, that were removed from the pool and come back.
   */
  async of(worker: string, held: readonly HeldTenant[] = []): Promise<HeldTenant[]> {
    const now = databaseNow(this.#db);
    const due = await this.#db
      .selectFrom('tenant_remains')
      .innerJoin('tenants', 'tenants.name', 'tenant_remains.tenant')
      .select(['name', 'generation'])
      .where('worker', '=', worker)
      .where('due_at', '<=', now)
      .orderBy('name')
      .execute();
    const remains = new Map(due.map(({ name, generation }) => [name, Number(generation)]));
    if (held.length === 0) return listed(remains);
    const known = await this.#db
      .selectFrom('tenants')
      .select(['name', 'generation'])
      .select(sql<number>`case when removed_at <= ${now} - ${LAST_WORDS} then 1 else 0 end`.as('isGone'))
      .where(
        'name',
        'in',
        held.map(({ tenant }) => tenant),
      )
      .execute();
    const current = new Map(known.map((row) => [row.name, row]));
    for (const { tenant, generation } of held) {
      const row = current.get(tenant);
      if (row && (row.isGone === 1 || generation < Number(row.generation))) {
        remains.set(tenant, Math.max(generation, remains.get(tenant) ?? 0));
      }
    }
    return listed(remains);
  }

  /** Nothing of a tenant is on this worker any more. */
  async done(worker: string, tenant: string): Promise<void> {
    await this.#db
      .deleteFrom('tenant_remains')
      .where('worker', '=', worker)
      .where('tenant', '=', tenant)
      .execute();
  }

  /** A worker that was removed from the pool is heard of no more. */
  async forgetWorker(worker: string): Promise<void> {
    await this.#db.deleteFrom('tenant_remains').where('worker', '=', worker).execute();
  }

  async #workersWith(db: PoolDatabase, tenant: string): Promise<string[]> {
    const rows = await db
      .selectFrom('tenant_remains')
      .select('worker')
      .where('tenant', '=', tenant)
      .orderBy('worker')
      .execute();
    return rows.map(({ worker }) => worker);
  }
}

/**
 * Ends what a tenant's clients have asked for: only what they have asked for needs it. Workers are told of what runs, and
 * what is being published is done. The tenant's row is locked.
 */
async function cancelJobs(trx: PoolDatabase, name: string, reason: string): Promise<void> {
  const own = trx.updateTable('jobs').where('tenant', '=', name).where('confined', '=', 1);
  const told = await own
    .set({ cancel_reason: reason })
    .where('state', '=', sql.lit('running' as const))
    .executeTakeFirst();
  if (told.numUpdatedRows > 0n) await announceJobs(trx, 'changed');
  await own
    .set({ state: 'canceled', result: JSON.stringify({ error: reason }), finished_at: databaseNow(trx) })
    .where('state', 'not in', [...FINISHED, 'running', 'publishing'])
    .execute();
  await admit(trx, await lockTenant(trx, name));
}

function listed(remains: ReadonlyMap<string, number>): HeldTenant[] {
  return [...remains].map(([tenant, generation]) => ({ tenant, generation }));
}
