import { type Kysely, sql } from 'kysely';
import { unavailable } from '#errors/errors.ts';

/** Asks the database for a sign of life; throws `unavailable` when none comes within `timeout` ms. */
export async function pingDatabase<Schema>(db: Kysely<Schema>, timeout = 2_000): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(unavailable(`the database did not answer within ${timeout} ms`)),
    timeout,
  );
  const answer = sql`select 1`.execute(db);
  answer.catch(() => {});
  try {
    await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
