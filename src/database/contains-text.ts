import { type Kysely, type RawBuilder, sql } from 'kysely';
import { isPostgres } from './dialect.ts';

/** Whether a column has a text in it, letter for letter: several times as fast as LIKE, and nothing to escape. */
export function containsText<T>(
  db: Kysely<T>,
  column: RawBuilder<string>,
  text: string,
): RawBuilder<boolean> {
  return isPostgres(db) ? sql`strpos(${column}, ${text}) > 0` : sql`instr(${column}, ${text}) > 0`;
}
