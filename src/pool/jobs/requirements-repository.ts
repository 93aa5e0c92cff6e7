import { sql } from 'kysely';
import type { PoolDatabase } from '#database/pool/open.ts';
import type { WorkerOffer } from '../workers/worker-leases-repository.ts';
import type { Claimant } from './job.ts';

/** What waiting jobs require, and what a worker offers. */
export class RequirementsRepository {
  readonly #db: PoolDatabase;
  #known: { readonly claimant: Claimant; readonly offer: WorkerOffer } | undefined;

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

  /** What a worker said when it got this lease; undefined when it is not its any more. */
  async offerOf(claimant: Claimant): Promise<WorkerOffer | undefined> {
    const known = this.#known;
    if (known?.claimant.worker === claimant.worker && known.claimant.epoch === claimant.epoch)
      return known.offer;
    const row = await this.#db
      .selectFrom('workers')
      .select('offer')
      .where('id', '=', claimant.worker)
      .where('epoch', '=', claimant.epoch)
      .executeTakeFirst();
    if (!row) return undefined;
    const offer = JSON.parse(row.offer) as WorkerOffer;
    this.#known = { claimant, offer };
    return offer;
  }
}
