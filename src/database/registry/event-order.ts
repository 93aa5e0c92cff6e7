import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../dialect.ts';

/*
 * Events get their ids when they are inserted and become visible when their transaction commits, which on PostgreSQL
 * is another order: a reader that went past id 7 would never see 6. So each transaction that inserts events says
 * beforehand, by an advisory lock that it keeps to its end, from which id on its events may be; a reader stays below
 * the smallest of these. Nobody waits for such a lock, and it ends with its transaction however that ends. (The age
 * of a transaction would do instead of a lock, but not outlive a dump that is restored into another server.)
 */

/** In the upper 16 bits of an advisory lock's key, above the id. */
const KIND = 0x534c;

/** Has every insert into `events` take its lock, before its ids are assigned. */
export async function guardEventOrder(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function events_take_place() returns trigger language plpgsql as $$
    begin
      perform pg_advisory_xact_lock_shared(
        (${sql.lit(KIND)}::bigint << 48) | (last_value + is_called::int)
      ) from events_id_seq;
      return null;
    end $$`.execute(db);
  await sql`
    create trigger events_take_place before insert on events
    for each statement execute function events_take_place()`.execute(db);
}

/**
 * All events with a smaller id than this are there to be read, or never will be. To be asked before the events are,
 * in a statement of its own.
 */
export async function settledEvents<Schema>(db: Kysely<Schema>): Promise<number> {
  // In SQLite one transaction writes at a time: ids become visible in their order.
  if (!isPostgres(db)) return Number.MAX_SAFE_INTEGER;
  // The ids first: whoever took one of these has had its lock since before.
  const next = await sql<{
    next: number;
  }>`select last_value + is_called::int as next from events_id_seq`.execute(db);
  const places = await sql<{ first: number | null }>`
    select min(((classid::bigint & 65535) << 32) | objid::bigint) as first
    from pg_locks
    where locktype = 'advisory' and objsubid = 1 and classid::bigint >> 16 = ${sql.lit(KIND)}
      and database = (select oid from pg_database where datname = current_database())`.execute(db);
  return Math.min(next.rows[0]!.next, places.rows[0]?.first ?? Number.MAX_SAFE_INTEGER);
}
