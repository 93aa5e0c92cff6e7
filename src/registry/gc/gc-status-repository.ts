import { sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { GcTotals } from './totals-repository.ts';

/** A queue of the collector. */
export interface QueueStatus {
  readonly queue: 'manifests' | 'links' | 'blobs' | 'contents';
  readonly waiting: number;
  /** Those whose time has come. */
  readonly due: number;
  /** How long the one that waits longest has been due, in milliseconds. */
  readonly overdue: number;
}

const QUEUES = [
  ['manifests', 'gc_manifest_queue', 'review_after'],
  ['links', 'gc_link_queue', 'review_after'],
  ['blobs', 'gc_blob_queue', 'review_after'],
  ['contents', 'gc_locations', 'delete_after'],
] as const;

export interface GcDelays {
  /** How long a candidate waits for its review, in milliseconds. */
  readonly delay: number;
  /** Up to so much is added, in milliseconds. */
  readonly jitter: number;
}

export class GcStatusRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  async queues(): Promise<QueueStatus[]> {
    return await Promise.all(
      QUEUES.map(async ([queue, table, column]) => {
        const [at, now] = [sql.ref<number>(column), databaseNow(this.#db)];
        const { rows } = await sql<{ waiting: number; due: number; overdue: number | null }>`
          select count(*) as waiting,
            count(case when ${at} <= ${now} then 1 end) as due,
            ${now} - min(case when ${at} <= ${now} then ${at} end) as overdue
          from ${sql.table(table)}`.execute(this.#db);
        const { waiting, due, overdue } = rows[0]!;
        return { queue, waiting, due, overdue: overdue ?? 0 };
      }),
    );
  }

  /** What was deleted since the registry began. */
  async totals(): Promise<GcTotals> {
    return await this.#db
      .selectFrom('gc_totals')
      .select(['manifests', 'links', 'blobs', 'bytes'])
      .executeTakeFirstOrThrow();
  }

  /** What triggers go by from now on. What waits already waits on. */
  async setDelays({ delay, jitter }: GcDelays): Promise<void> {
    await this.#db
      .updateTable('gc_settings')
      .set({ delay, jitter })
      .where(({ or, eb }) => or([eb('delay', '!=', delay), eb('jitter', '!=', jitter)]))
      .execute();
  }

  /** Has everything that waits for its review looked at now: a push under way may have to begin again. */
  async makeDue(): Promise<void> {
    const now = databaseNow(this.#db);
    for (const queue of ['gc_manifest_queue', 'gc_link_queue', 'gc_blob_queue'] as const) {
      await sql`update ${sql.table(queue)} set review_after = ${now} where review_after > ${now}`.execute(
        this.#db,
      );
    }
  }
}
