import { sql } from 'kysely';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { NOTHING_DUE, type ReviewKey, type ReviewResult, without } from './review-key.ts';
import { drop, IN_USE, isOneOf, retryIn, takeDue } from './review-queue-repository.ts';
import { addTotals } from './totals-repository.ts';

/** Takes blobs away from repositories of which no manifest names them. */
export class LinkReviewsRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /** Reviews up to `limit` links. Waits for nobody; safe against whoever pushes or collects at the same time. */
  async review(limit: number): Promise<ReviewResult> {
    return await inTransaction(this.#db, async (trx) => {
      const due = await takeDue(trx, 'gc_link_queue', limit);
      if (due.length === 0) return NOTHING_DUE;
      const held = await holdLinks(trx, due);
      // Asked after the links are held: a manifest that names one either did so by now, or cannot any more.
      const unused = without(held, await referenced(trx, held));
      if (unused.length > 0) await trx.deleteFrom('repository_blobs').where(isOneOf(unused)).execute();
      const inUse = await existing(trx, without(due, held));
      await retryIn(trx, 'gc_link_queue', inUse, IN_USE);
      await drop(trx, 'gc_link_queue', without(due, inUse));
      await addTotals(trx, { links: unused.length });
      return { reviewed: due.length, deleted: unused.length };
    });
  }
}

/** Those links that no push holds at the moment. */
async function holdLinks(trx: RegistryDatabase, keys: readonly ReviewKey[]): Promise<ReviewKey[]> {
  return await trx
    .selectFrom('repository_blobs')
    .select(['repository_id', 'digest'])
    .where(isOneOf(keys))
    .forUpdate()
    .skipLocked()
    .execute();
}

async function existing(trx: RegistryDatabase, keys: readonly ReviewKey[]): Promise<ReviewKey[]> {
  if (keys.length === 0) return [];
  return await trx
    .selectFrom('repository_blobs')
    .select(['repository_id', 'digest'])
    .where(isOneOf(keys))
    .execute();
}

/** Those that a manifest names, whether as a blob or as a manifest: an index may have blobs in its list. */
export async function referenced(db: RegistryDatabase, keys: readonly ReviewKey[]): Promise<ReviewKey[]> {
  if (keys.length === 0) return [];
  return await db
    .selectFrom('repository_blobs')
    .select(['repository_id', 'digest'])
    .where(isOneOf(keys))
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('manifest_references as reference')
          .select(sql`1`.as('one'))
          .whereRef('reference.digest', '=', 'repository_blobs.digest')
          .whereRef('reference.repository_id', '=', 'repository_blobs.repository_id'),
      ),
    )
    .execute();
}
