import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { admit, type BuildTurn, type BuildWorker, type Warmth } from '../scheduler/admit.ts';

/** A build whose gateway has not been heard of for so long, in milliseconds, is nobody's. */
export const SILENCE = 20_000;
/** So long a worker's caches count as warm. */
const WARM = 14 * 24 * 60 * 60_000;

export interface NewTurn extends Omit<BuildTurn, 'id' | 'worker'> {
  readonly session: string | undefined;
}
type Offer = Omit<BuildWorker, 'jobs'>;

/** The builds of all gateways that wait for a worker, or have one, and where projects were built. */
export class BuildTurnsRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  async enter(turn: NewTurn): Promise<number> {
    const row = await this.#db
      .insertInto('build_turns')
      .values(this.#row(turn))
      .returning('id')
      .executeTakeFirstOrThrow();
    return row.id;
  }

  /** Their clients are still there. Answers which of them were known. */
  async keep(ids: readonly number[]): Promise<Set<number>> {
    if (ids.length === 0) return new Set();
    const kept = await this.#db
      .updateTable('build_turns')
      .set({ seen_at: databaseNow(this.#db) })
      .where('id', 'in', ids)
      .returning('id')
      .execute();
    return new Set(kept.map(({ id }) => id));
  }

  /** Has a build again that was forgotten while it ran on a worker. */
  async restore(id: number, turn: NewTurn, worker: string): Promise<void> {
    await this.#db
      .insertInto('build_turns')
      .values({ ...this.#row(turn), id, worker })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }

  async leave(id: number): Promise<void> {
    await this.#db.deleteFrom('build_turns').where('id', '=', id).execute();
  }

  /** Gives workers to those that wait, as far as there is room. Resolves to all builds as they are now. */
  async round(offers: readonly Offer[], images: Warmth['images']): Promise<BuildTurn[]> {
    return await inTransaction(this.#db, async (trx) => {
      await trx.updateTable('build_turns_lock').set({ rounds: sql<number>`rounds + 1` }).execute();
      await trx
        .deleteFrom('build_turns')
        .where('seen_at', '<', sql<number>`${databaseNow(trx)} - ${SILENCE}`)
        .execute();
      const turns = await all(trx);
      if (turns.every(({ worker }) => worker !== undefined)) return turns;
      const [jobs, builtAt] = [await buildJobs(trx), await projectsOf(trx, turns)];
      const workers = offers.map((offer) => ({ ...offer, jobs: jobs.get(offer.name) ?? 0 }));
      const admitted = admit(turns, workers, { images, builtAt });
      for (const [id, worker] of admitted) {
        await trx.updateTable('build_turns').set({ worker }).where('id', '=', id).execute();
        await noteProject(trx, turns.find((turn) => turn.id === id)!, worker);
      }
      return turns.map((turn) => ({ ...turn, worker: admitted.get(turn.id) ?? turn.worker }));
    });
  }

  /** How many wait, and how many have a worker; those that have another's place do not count. */
  async counts(): Promise<{ waiting: number; running: number }> {
    const row = await this.#db
      .selectFrom('build_turns')
      .select(({ fn }) => [fn.countAll<number>().as('all'), fn.count<number>('worker').as('running')])
      .where('exempt', '=', 0)
      .where('seen_at', '>=', sql<number>`${databaseNow(this.#db)} - ${SILENCE}`)
      .executeTakeFirstOrThrow();
    return { waiting: Number(row.all) - Number(row.running), running: Number(row.running) };
  }

  /** Whether a build of a session waits for a worker. */
  async isExpected(tenant: string, session: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom('build_turns')
      .select('id')
      .where('tenant', '=', tenant)
      .where('session', '=', session)
      .where('worker', 'is', null)
      .executeTakeFirst();
    return row !== undefined;
  }

  /** What the client of a session builds, as far as it says. */
  async noteSession(tenant: string, session: string, project: string): Promise<void> {
    const now = databaseNow(this.#db);
    await this.#db
      .insertInto('session_projects')
      .values({ tenant, session, project, created_at: now })
      .onConflict((conflict) => conflict.columns(['tenant', 'session']).doUpdateSet({ project }))
      .execute();
  }

  async projectOf(tenant: string, session: string): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom('session_projects')
      .select('project')
      .where('tenant', '=', tenant)
      .where('session', '=', session)
      .executeTakeFirst();
    return row?.project;
  }

  async forgetSession(tenant: string, session: string): Promise<void> {
    const now = databaseNow(this.#db);
    await this.#db
      .deleteFrom('session_projects')
      .where((where) =>
        where.or([
          where.and([where('tenant', '=', tenant), where('session', '=', session)]),
          where('created_at', '<', sql<number>`${now} - ${WARM}`),
        ]),
      )
      .execute();
  }

  #row({ tenant, project, session, wish, exempt }: NewTurn) {
    const now = databaseNow(this.#db);
    return {
      tenant,
      project,
      session: session ?? null,
      wish: JSON.stringify(wish),
      worker: null,
      exempt: exempt ? 1 : 0,
      seen_at: now,
      created_at: now,
    };
  }
}

async function all(trx: PoolDatabase): Promise<BuildTurn[]> {
  const rows = await trx.selectFrom('build_turns').selectAll().orderBy('id').execute();
  return rows.map(({ id, tenant, project, wish, worker, exempt }) => ({
    id,
    tenant,
    project,
    wish: JSON.parse(wish),
    worker: worker ?? undefined,
    exempt: exempt !== 0,
  }));
}

async function buildJobs(trx: PoolDatabase): Promise<Map<string, number>> {
  const rows = await trx
    .selectFrom('jobs')
    .innerJoin('workers', 'workers.id', 'jobs.worker')
    .select(['workers.name', ({ fn }) => fn.countAll<number>().as('count')])
    .where('jobs.state', '=', 'running')
    .where('jobs.kind', '=', 'build')
    .groupBy('workers.name')
    .execute();
  return new Map(rows.map(({ name, count }) => [name, Number(count)]));
}

async function projectsOf(trx: PoolDatabase, turns: readonly BuildTurn[]): Promise<Warmth['builtAt']> {
  const waiting = turns.filter(({ worker, project }) => worker === undefined && project !== '');
  if (waiting.length === 0) return () => undefined;
  const rows = await trx
    .selectFrom('build_projects')
    .selectAll()
    .where(
      'project',
      'in',
      waiting.map(({ project }) => project),
    )
    .execute();
  const keyOf = (tenant: string, project: string, worker: string) =>
    JSON.stringify([tenant, project, worker]);
  const known = new Map(
    rows.map(({ tenant, project, worker, built_at }) => [keyOf(tenant, project, worker), built_at]),
  );
  return ({ tenant, project }, worker) => known.get(keyOf(tenant, project, worker));
}

async function noteProject(trx: PoolDatabase, { tenant, project }: BuildTurn, worker: string): Promise<void> {
  if (project === '') return;
  const now = databaseNow(trx);
  await trx
    .insertInto('build_projects')
    .values({ tenant, project, worker, built_at: now })
    .onConflict((conflict) =>
      conflict.columns(['tenant', 'project', 'worker']).doUpdateSet({ built_at: now }),
    )
    .execute();
  await trx.deleteFrom('build_projects').where('built_at', '<', sql<number>`${now} - ${WARM}`).execute();
}
