import { type Kysely, PostgresAdapter, type RawBuilder, sql } from 'kysely';

// biome-ignore lint/suspicious/noExplicitAny: any schema will do, and Kysely is invariant in it
type AnyDatabase = Kysely<any>;

/** Whether statements go to PostgreSQL; otherwise it is SQLite. */
export function isPostgres(db: AnyDatabase): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter;
}

/** The database's clock, in milliseconds since 1970: one clock for all processes that share it. */
export function databaseNow(db: AnyDatabase): RawBuilder<number> {
  return isPostgres(db)
    ? sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`
    : sql<number>`cast(unixepoch('subsec') * 1000 as integer)`;
}

/** A whole number from 0 to below `limit`, another one for each row. */
export function randomBelow(db: AnyDatabase, limit: RawBuilder<number>): RawBuilder<number> {
  return isPostgres(db)
    ? sql<number>`floor(random() * ${limit})::bigint`
    : sql<number>`abs(random() % ${limit})`;
}

/** A path's first segment: `a` of `a/b` and of `a`. */
export function firstSegment(db: AnyDatabase, path: RawBuilder<string>): RawBuilder<string> {
  return isPostgres(db)
    ? sql<string>`split_part(${path}, '/', 1)`
    : sql<string>`substr(${path}, 1, instr(${path} || '/', '/') - 1)`;
}

/**
 * All values of a column of text as one JSON list: a row for each costs more than finding it. In the order of the rows
 * that it is selected from, which have to be a sorted and limited subquery: sorting them again takes SQLite four times
 * as long as all the rest, and it takes them as they come.
 */
export function jsonList(db: AnyDatabase, column: string): RawBuilder<string> {
  const value = sql.ref(column);
  return isPostgres(db)
    ? sql<string>`coalesce(json_agg(${value} order by ${value}), '[]')::text`
    : sql<string>`json_group_array(${value})`;
}
