import { type Kysely, type Migration, sql } from 'kysely';
import { isPostgres } from '../dialect.ts';

export function plannerMigrations(): Record<string, Migration> {
  return { 'registry-0013-planner': planner };
}

/**
 * How many rows SQLite shall expect: for a whole index, then for one value of its first column, of its first two …
 * Knowing nothing, it takes all tags of a repository for ten, and looks through them for those of a manifest that is
 * deleted, beside the index that has them. PostgreSQL finds out by itself.
 */
const EXPECTED = [
  ['tags', 'tags', '1000000 1000 1'],
  ['tags', 'tags_by_manifest', '1000000 1000 2 1'],
  ['referrers', 'referrers', '1000000 1000 2 1'],
  ['referrers', 'referrers_by_manifest', '1000000 1000 1 1'],
] as const;

const planner: Migration = {
  async up(db: Kysely<unknown>) {
    if (isPostgres(db)) return;
    // Makes the table of what is expected, which it reads when a database is opened.
    await sql`analyze`.execute(db);
    await sql`delete from sqlite_stat1 where tbl in ('tags', 'referrers')`.execute(db);
    for (const [table, index, rows] of EXPECTED) {
      await sql`insert into sqlite_stat1 (tbl, idx, stat) values (${table}, ${index}, ${rows})`.execute(db);
    }
    await sql`analyze sqlite_schema`.execute(db);
  },
};
