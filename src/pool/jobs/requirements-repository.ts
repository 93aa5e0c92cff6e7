import { type RawBuilder, sql } from 'kysely';
import { databaseNow, isPostgres } from '#database/dialect.ts';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { WorkerOffer } from '../workers/worker-leases-repository.ts';
import type { Claimant } from './job.ts';

/** A job that waits for a worker. */
export interface QueuedJob {
  readonly requirement: string;
  /** The worker that nobody else may have it before for `duration` more milliseconds, if there is one. */
  readonly keptFor: { readonly worker: string; readonly duration: number } | null;
}

/** What waiting jobs require, and what workers offer. */
export class RequirementsRepository {
  readonly #db: PoolDatabase;
  /** By worker: what it said when it got the lease of this epoch. */
  readonly #known = new Map<string, { readonly epoch: number; readonly offer: WorkerOffer }>();

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** The requirements of queued jobs, each once, however many jobs have it: a step in the index for each. */
  async queued(): Promise<string[]> {
    const { rows } = await sql<{ requirement: string }>`
      with recursive found (requirement) as (
        select min(requirement) from jobs where state = 'queued'
        union all
        select (select min(jobs.requirement) from jobs
          where jobs.state = 'queued' and jobs.requirement > found.requirement)
        from found where found.requirement is not null)
      select requirement from found where requirement is not null`.execute(this.#db);
    return rows.map(({ requirement }) => requirement);
  }

  /** Of each requirement the first jobs that are queued, as claims have them. */
  async first(limit: number): Promise<QueuedJob[]> {
    const requirements = await this.queued();
    if (requirements.length === 0) return [];
    const now = databaseNow(this.#db);
    const ofOne = (requirement: RawBuilder<unknown>) => sql`
      select requirement, preferred_worker as worker, preferred_until - ${now} as duration from jobs
      where state = 'queued' and requirement = ${requirement}
      order by priority desc, turn, id limit ${limit}`;
    const each = requirements.map((requirement) => sql`select * from (${ofOne(sql`${requirement}`)})`);
    const query = isPostgres(this.#db)
      ? sql<QueuedRow>`select jobs.* from unnest(${sql.val(requirements)}::text[]) as offered(requirement),
          lateral (${ofOne(sql`offered.requirement`)}) as jobs`
      : sql<QueuedRow>`${sql.join(each, sql` union all `)}`;
    const { rows } = await query.execute(this.#db);
    return rows.map(({ requirement, worker, duration }) => {
      const isKept = worker !== null && duration !== null && duration > 0;
      return { requirement, keptFor: isKept ? { worker, duration } : null };
    });
  }

  /** What a worker said when it got this lease; undefined when it is not its any more. */
  async offerOf(claimant: Claimant): Promise<WorkerOffer | undefined> {
    const known = this.#known.get(claimant.worker);
    if (known?.epoch === claimant.epoch) return known.offer;
    const row = await this.#db
      .selectFrom('workers')
      .select('offer')
      .where('id', '=', claimant.worker)
      .where('epoch', '=', claimant.epoch)
      .executeTakeFirst();
    if (!row) return undefined;
    const offer = JSON.parse(row.offer) as WorkerOffer;
    this.#known.set(claimant.worker, { epoch: claimant.epoch, offer });
    return offer;
  }
}

interface QueuedRow {
  readonly requirement: string;
  readonly worker: string | null;
  readonly duration: number | null;
}
