import { type SqlBool, sql } from 'kysely';
import { databaseNow, firstSegment } from '#database/dialect.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { inTransaction } from '#database/transaction.ts';
import { NOTHING_DUE, type ReviewResult } from './review-key.ts';
import { IN_USE } from './review-queue-repository.ts';
import { addTotals } from './totals-repository.ts';

interface Blob {
  readonly digest: string;
  readonly size: number;
  readonly location: string;
}

/** Lets go of blobs that no repository sees, and gives namespaces back what they no longer see. */
export class BlobReviewsRepository {
  readonly #db: RegistryDatabase;

  constructor(db: RegistryDatabase) {
    this.#db = db;
  }

  /**
   * Reviews up to `limit` blobs. The content of those that go is on the list of what to delete, for `contentDelay`
   * milliseconds from now, in the same transaction.
   */
  async review(limit: number, contentDelay: number): Promise<ReviewResult> {
    return await inTransaction(this.#db, async (trx) => {
      const due = await takeDue(trx, limit);
      if (due.length === 0) return NOTHING_DUE;
      const blobs = await holdBlobs(trx, due);
      // Asked after the blobs are held: nobody can show one to a repository any more.
      const seen = await seenDigests(trx, blobs);
      const unseen = blobs.filter(({ digest }) => !seen.has(digest));
      await giveBack(trx, seen);
      await remove(trx, unseen, contentDelay);
      await settle(trx, due, blobs);
      const bytes = unseen.reduce((sum, { size }) => sum + size, 0);
      await addTotals(trx, { blobs: unseen.length, bytes });
      return { reviewed: due.length, deleted: unseen.length };
    });
  }
}

async function takeDue(trx: RegistryDatabase, limit: number): Promise<string[]> {
  const rows = await trx
    .selectFrom('gc_blob_queue')
    .select('digest')
    .where('review_after', '<=', databaseNow(trx))
    .orderBy('review_after')
    .limit(limit)
    .forUpdate()
    .skipLocked()
    .execute();
  return rows.map(({ digest }) => digest);
}

async function holdBlobs(trx: RegistryDatabase, digests: readonly string[]): Promise<Blob[]> {
  return await trx
    .selectFrom('blobs')
    .select(['digest', 'size', 'location'])
    .where('digest', 'in', digests)
    .forUpdate()
    .skipLocked()
    .execute();
}

async function seenDigests(trx: RegistryDatabase, blobs: readonly Blob[]): Promise<Set<string>> {
  if (blobs.length === 0) return new Set();
  const rows = await trx
    .selectFrom('repository_blobs')
    .select('digest')
    .distinct()
    .where(
      'digest',
      'in',
      blobs.map(({ digest }) => digest),
    )
    .execute();
  return new Set(rows.map(({ digest }) => digest));
}

/** Takes blobs off the accounts of namespaces of which no repository sees them any more. */
async function giveBack(trx: RegistryDatabase, digests: ReadonlySet<string>): Promise<void> {
  if (digests.size === 0) return;
  await trx
    .deleteFrom('namespace_blobs')
    .where('digest', 'in', [...digests])
    .where(sql<SqlBool>`not exists (
      select 1 from repository_blobs l join repositories r on r.id = l.repository_id
      where l.digest = namespace_blobs.digest
      and ${firstSegment(trx, sql`r.name`)} = namespace_blobs.namespace)`)
    .execute();
}

async function remove(trx: RegistryDatabase, blobs: readonly Blob[], contentDelay: number): Promise<void> {
  if (blobs.length === 0) return;
  const digests = blobs.map(({ digest }) => digest);
  const delete_after = sql<number>`${databaseNow(trx)} + ${sql.lit(contentDelay)}`;
  await trx
    .insertInto('gc_locations')
    .values(blobs.map(({ location, size }) => ({ location, size, delete_after })))
    .onConflict((conflict) => conflict.column('location').doNothing())
    .execute();
  await trx.deleteFrom('namespace_blobs').where('digest', 'in', digests).execute();
  await trx.deleteFrom('blobs').where('digest', 'in', digests).execute();
}

/** Those that a push holds at the moment are looked at again; the others are done. */
async function settle(trx: RegistryDatabase, due: readonly string[], held: readonly Blob[]): Promise<void> {
  const handled = new Set(held.map(({ digest }) => digest));
  const others = due.filter((digest) => !handled.has(digest));
  const inUse = others.length === 0 ? [] : await existing(trx, others);
  if (inUse.length > 0) {
    const review_after = sql<number>`${databaseNow(trx)} + ${sql.lit(IN_USE)}`;
    await trx.updateTable('gc_blob_queue').set({ review_after }).where('digest', 'in', inUse).execute();
  }
  const done = due.filter((digest) => !inUse.includes(digest));
  if (done.length > 0) await trx.deleteFrom('gc_blob_queue').where('digest', 'in', done).execute();
}

async function existing(trx: RegistryDatabase, digests: readonly string[]): Promise<string[]> {
  const rows = await trx.selectFrom('blobs').select('digest').where('digest', 'in', digests).execute();
  return rows.map(({ digest }) => digest);
}
