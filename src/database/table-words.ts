import { type RawBuilder, sql } from 'kysely';

type ColumnType = RawBuilder<unknown>;

/** What dialects disagree on when it comes to tables; migrations are written in these words. */
export interface TableWords {
  /** A primary key that the database assigns. */
  readonly id: ColumnType;
  readonly bytes: ColumnType;
  /** Text that sorts by code point: what the APIs call lexical order. */
  readonly name: ColumnType;
  /** Ends the definition of a table of small rows that are found by their primary key, and kept in its order. */
  readonly byKey: RawBuilder<unknown>;
}

export const SQLITE_TABLE_WORDS: TableWords = {
  id: sql`integer`,
  bytes: sql`blob`,
  name: sql`text`,
  byKey: sql`without rowid`,
};
