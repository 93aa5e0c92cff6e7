import { type Kysely, type RawBuilder, sql } from 'kysely';
import { isPostgres } from './dialect.ts';

export interface Trigger {
  readonly name: string;
  readonly after: 'insert' | 'update' | 'delete';
  readonly on: string;
  /** The columns of the changed rows that the statement reads. */
  readonly columns: readonly string[];
  /** The statement to run. `rows` goes into a FROM: what was inserted, or what the rows were before the change. */
  readonly run: (rows: RawBuilder<unknown>) => RawBuilder<unknown>;
}

/**
 * Makes a trigger: once for each row in SQLite, once for each statement in PostgreSQL (by its transition tables), so
 * that a cascade over a thousand rows costs one more statement there.
 */
export async function createTrigger(db: Kysely<unknown>, trigger: Trigger): Promise<void> {
  if (isPostgres(db)) await createForStatements(db, trigger);
  else await createForRows(db, trigger);
}

/** What a trigger's statement has for `distinct`: a row by itself is not there twice. */
export function once(db: Kysely<unknown>): RawBuilder<unknown> {
  return sql.raw(isPostgres(db) ? 'distinct' : '');
}

/** What it has to put many rows in order: sorting one takes longer than finding it. */
export function inOrder(db: Kysely<unknown>, columns: string): RawBuilder<unknown> {
  return sql.raw(isPostgres(db) ? `order by ${columns}` : '');
}

async function createForRows(db: Kysely<unknown>, { name, after, on, columns, run }: Trigger): Promise<void> {
  const row = after === 'insert' ? 'new' : 'old';
  const values = columns.map((column) => sql`${sql.raw(row)}.${sql.id(column)} as ${sql.id(column)}`);
  const rows = sql`(select ${sql.join(values)}) as changed`;
  await sql`create trigger ${sql.id(name)} after ${sql.raw(after)} on ${sql.id(on)} begin ${run(rows)}; end`.execute(
    db,
  );
}

async function createForStatements(db: Kysely<unknown>, { name, after, on, run }: Trigger): Promise<void> {
  const rows = sql`changed`;
  await sql`create function ${sql.id(name)}() returns trigger language plpgsql as $$ begin ${run(rows)}; return null; end $$`.execute(
    db,
  );
  const table = sql.raw(after === 'insert' ? 'new' : 'old');
  await sql`create trigger ${sql.id(name)} after ${sql.raw(after)} on ${sql.id(on)}
    referencing ${table} table as changed for each statement execute function ${sql.id(name)}()`.execute(db);
}
