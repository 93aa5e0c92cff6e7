import { type Kysely, PostgresAdapter } from 'kysely';

/** What a database is, for the few queries that have to be said differently. */
// biome-ignore lint/suspicious/noExplicitAny: a database of any schema.
export function dialectOf(db: Kysely<any>): 'sqlite' | 'postgres' {
  return db.getExecutor().adapter instanceof PostgresAdapter ? 'postgres' : 'sqlite';
}
