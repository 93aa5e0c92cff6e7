import { sql } from 'kysely';
import type { PoolDatabase } from '#database/pool/open.ts';
import { inTransaction } from '#database/transaction.ts';
import type { Claim, Claimant } from './job.ts';

/** A piece of a log: its bytes are here, or in the content store. */
export interface LogChunk {
  readonly start: number;
  readonly size: number;
  readonly data: Uint8Array | null;
  readonly location: string | null;
}

/** What jobs have written. */
export class JobLogRepository {
  readonly #db: PoolDatabase;

  constructor(db: PoolDatabase) {
    this.#db = db;
  }

  /** Adds a piece in the name of a claim; false when that is no longer good, or the piece is not the next one. */
  async append(
    claim: Claim,
    claimant: Claimant,
    { start, size, data, location }: LogChunk,
  ): Promise<boolean> {
    const { numAffectedRows } = await sql`
      insert into job_log_chunks (job_id, start, size, data, location)
      select jobs.id, ${start}, ${size}, ${data}, ${location} from jobs
      where public_id = ${claim.id} and state = 'running' and attempt = ${claim.attempt}
        and worker = ${claimant.worker} and worker_epoch = ${claimant.epoch}
        and ${start} = coalesce(
          (select last.start + last.size from job_log_chunks as last where last.job_id = jobs.id
            order by last.start desc limit 1), 0)
      on conflict do nothing`.execute(this.#db);
    return numAffectedRows === 1n;
  }

  /** How long a log is. */
  async size(id: string): Promise<number> {
    const last = await this.#db
      .selectFrom('job_log_chunks')
      .innerJoin('jobs', 'jobs.id', 'job_log_chunks.job_id')
      .select(['start', 'size'])
      .where('jobs.public_id', '=', id)
      .orderBy('start', 'desc')
      .limit(1)
      .executeTakeFirst();
    return last ? Number(last.start) + Number(last.size) : 0;
  }

  /** Pieces from the one on that has the byte `from`, the first few. */
  async chunks(id: string, from: number, limit: number): Promise<LogChunk[]> {
    const rows = await this.#db
      .selectFrom('job_log_chunks')
      .innerJoin('jobs', 'jobs.id', 'job_log_chunks.job_id')
      .select(['start', 'size', 'data', 'location'])
      .where('jobs.public_id', '=', id)
      .where(sql<boolean>`start + size > ${from}`)
      .orderBy('start')
      .limit(limit)
      .execute();
    return rows.map((row) => ({ ...row, start: Number(row.start), size: Number(row.size) }));
  }

  /** Has one piece stand for several that follow each other; false when they are not there any more. */
  async merge(id: string, pieces: readonly LogChunk[], location: string): Promise<boolean> {
    const [first] = pieces;
    const last = pieces.at(-1);
    if (!first || !last) return false;
    return await inTransaction(this.#db, async (trx) => {
      const job = await trx
        .selectFrom('jobs')
        .select('id')
        .where('public_id', '=', id)
        .forUpdate()
        .executeTakeFirst();
      if (!job) return false;
      const present = await trx
        .selectFrom('job_log_chunks')
        .select('start')
        .where('job_id', '=', job.id)
        .where('start', '>=', first.start)
        .where('start', '<=', last.start)
        .where('location', 'is', null)
        .execute();
      if (present.length !== pieces.length) return false;
      await trx
        .deleteFrom('job_log_chunks')
        .where('job_id', '=', job.id)
        .where('start', '>', first.start)
        .where('start', '<=', last.start)
        .execute();
      const size = last.start + last.size - first.start;
      await trx
        .updateTable('job_log_chunks')
        .set({ size, data: null, location })
        .where('job_id', '=', job.id)
        .where('start', '=', first.start)
        .execute();
      return true;
    });
  }
}
