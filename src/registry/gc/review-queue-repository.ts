import { type SqlBool, sql } from 'kysely';
import { databaseNow } from '#database/dialect.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import type { ReviewKey } from './review-key.ts';

type Queue = 'gc_link_queue' | 'gc_manifest_queue';

/** When something that is in use at the moment is looked at again, in milliseconds. */
export const IN_USE = 1_000;

/** A condition on `repository_id` and `digest`. */
export function isOneOf(keys: readonly ReviewKey[]) {
  const each = keys.map(
    ({ repository_id, digest }) => sql`(repository_id = ${repository_id} and digest = ${digest})`,
  );
  return sql<SqlBool>`(${sql.join(each, sql` or `)})`;
}

/** Takes candidates that are due, the oldest first; those that another collector has are left out. */
export async function takeDue(trx: RegistryDatabase, queue: Queue, limit: number): Promise<ReviewKey[]> {
  return await trx
    .selectFrom(queue)
    .select(['repository_id', 'digest'])
    .where('review_after', '<=', databaseNow(trx))
    .orderBy('review_after')
    .limit(limit)
    .forUpdate()
    .skipLocked()
    .execute();
}

export async function drop(trx: RegistryDatabase, queue: Queue, keys: readonly ReviewKey[]): Promise<void> {
  if (keys.length > 0) await trx.deleteFrom(queue).where(isOneOf(keys)).execute();
}

/** Has candidates looked at again in `delay` milliseconds. */
export async function retryIn(
  trx: RegistryDatabase,
  queue: Queue,
  keys: readonly ReviewKey[],
  delay: number,
): Promise<void> {
  if (keys.length === 0) return;
  const review_after = sql<number>`${databaseNow(trx)} + ${sql.lit(Math.round(delay))}`;
  await trx.updateTable(queue).set({ review_after }).where(isOneOf(keys)).execute();
}
