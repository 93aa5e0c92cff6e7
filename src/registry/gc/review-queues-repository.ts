import { type SqlBool, sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import { type Parameter, statement } from '#database/prepared.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { Digest } from '#oci/digest.ts';
import type { RepositoryName } from '#oci/reference.ts';

type Queue = 'gc_link_queue' | 'gc_manifest_queue';

const POSTPONE = {
  gc_link_queue: postpone('gc_link_queue'),
  gc_manifest_queue: postpone('gc_manifest_queue'),
};

function postpone(queue: Queue) {
  type Parameters = { repository: number; digest: string };
  return statement((db: RegistryDatabase, parameter: Parameter<Parameters>) => {
    const now = databaseNow(db);
    const delay = db.selectFrom('gc_settings').select('delay');
    return db
      .updateTable(queue)
      .set({ review_after: sql<number>`${now} + (${delay})` })
      .where('repository_id', '=', parameter('repository'))
      .where('digest', '=', parameter('digest'))
      .where(sql<SqlBool>`review_after <= ${now} + (${delay}) / 2`);
  });
}

/**
 * Puts off the review of what is about to be used, as if it had become a candidate just now. In a transaction that
 * goes on to rely on it: first, so that a review under way is waited for and what it left is what is seen then.
 * What is not due for another half of the delay stays as it is: that is time enough, and costs no write.
 */
export async function postponeReview(
  trx: RegistryDatabase,
  queue: Queue,
  repository: number,
  digest: Digest,
): Promise<void> {
  await POSTPONE[queue](trx, { repository, digest });
}

/** Keeps what a client was told it need not push, for as long as a push may take. */
export class ReviewQueuesRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /**
   * Puts off the review of a blob or manifest that a client asks for. Before it is looked up: what is there
   * afterwards stays. Nothing is written for what is not up for review, or not soon.
   */
  async touch(queue: Queue, name: RepositoryName, digest: Digest): Promise<void> {
    const { rows } = await sql<{ id: number }>`
      select r.id from repositories r join ${sql.table(queue)} q on q.repository_id = r.id
      where r.name = ${name} and q.digest = ${digest}
      and q.review_after <= ${databaseNow(this.#db)} + (select delay / 2 from gc_settings)`.execute(this.#db);
    const [due] = rows;
    if (due) await postponeReview(this.#db, queue, due.id, digest);
  }
}
