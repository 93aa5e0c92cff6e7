import { type RawBuilder, sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { PoolDemand } from './demand.ts';

/** A build whose gateway has not been heard of for so long, in milliseconds, is nobody's. */
const SILENCE = 20_000;

/** What the pool's tables say of its work, and who of the gateways tells others of it. */
export class DemandRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  async read(): Promise<PoolDemand> {
    const now = databaseNow(this.#db);
    const age = (oldest: RawBuilder<unknown>) => sql<number>`coalesce(${now} - min(${oldest}), 0)`;
    const builds = await this.#db
      .selectFrom('build_turns')
      .select(({ fn }) => [
        sql<string>`case when worker is null then 'waiting' else 'running' end`.as('state'),
        fn.countAll<number>().as('count'),
        age(sql.ref('created_at')).as('age'),
      ])
      .where('seen_at', '>=', sql<number>`${now} - ${SILENCE}`)
      .groupBy(sql`case when worker is null then 'waiting' else 'running' end`)
      .execute();
    // Each by the index of its state: whatever is over is not looked at. One that runs has no need of its age.
    const of = (state: 'queued' | 'running', age: RawBuilder<number>) =>
      sql<DemandRow>`select ${sql.lit(state)} as state, count(*) as count, ${age} as age
        from jobs where state = ${sql.lit(state)}`;
    const jobs = await sql<DemandRow>`${of('queued', age(sql.ref('created_at')))}
      union all ${of('running', sql<number>`0`)}`.execute(this.#db);
    const workers = await this.#db
      .selectFrom('workers')
      .select(({ fn }) => ['state', fn.countAll<number>().as('count')])
      .groupBy('state')
      .execute();
    // A tenant's share is its own to wait for: more workers would not help what is held.
    const [queued, waiting] = [rowOf(jobs.rows, 'queued'), rowOf(builds, 'waiting')];
    return {
      waiting: { builds: waiting.count, jobs: queued.count },
      running: { builds: rowOf(builds, 'running').count, jobs: rowOf(jobs.rows, 'running').count },
      oldest: { builds: waiting.age / 1000, jobs: queued.age / 1000 },
      workers: {
        ready: rowOf(workers, 'ready').count,
        draining: rowOf(workers, 'draining').count,
        lost: rowOf(workers, 'lost').count,
      },
    };
  }

  /**
   * The turn to tell of the demand, for one of all gateways: what was told last; undefined when it is not time, or another
   * one has the turn. It lasts until `giveTurn`, or for `hold` milliseconds.
   */
  async takeTurn(hold: number): Promise<{ desired: number | null; waited: boolean } | undefined> {
    const now = databaseNow(this.#db);
    const row = await this.#db
      .updateTable('scale_calls')
      .set({ due_at: sql<number>`${now} + ${hold}` })
      .where('due_at', '<=', now)
      .returning(['desired', 'waited'])
      .executeTakeFirst();
    return row && { desired: row.desired, waited: row.waited !== 0 };
  }

  /** The next turn is after `interval` milliseconds; what was told in this one counts as told. */
  async giveTurn(interval: number, told?: { desired: number; waited: boolean }): Promise<void> {
    await this.#db
      .updateTable('scale_calls')
      .set({
        due_at: sql<number>`${databaseNow(this.#db)} + ${interval}`,
        ...(told && { desired: told.desired, waited: told.waited ? 1 : 0 }),
      })
      .execute();
  }
}

interface DemandRow {
  readonly state: string;
  readonly count: number;
  readonly age?: number;
}

function rowOf(rows: readonly DemandRow[], state: string): { count: number; age: number } {
  const row = rows.find((each) => each.state === state);
  return { count: Number(row?.count ?? 0), age: Number(row?.age ?? 0) };
}
