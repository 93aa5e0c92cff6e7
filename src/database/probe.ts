import { type Kysely, sql } from 'kysely';

/** Resolves when the database answers. */
export async function probeDatabase<T>(db: Kysely<T>): Promise<void> {
  await sql`select 1`.execute(db);
}
