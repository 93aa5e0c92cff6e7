import { type RawBuilder, sql } from 'kysely';

type ColumnType = RawBuilder<unknown>;

/** What a dialect calls the column types that dialects disagree on; migrations are written in these words. */
export interface ColumnTypes {
  /** A primary key that the database assigns. */
  readonly id: ColumnType;
  readonly bytes: ColumnType;
  /** Text that sorts by code point: what the APIs call lexical order. */
  readonly name: ColumnType;
}

export const SQLITE_COLUMN_TYPES: ColumnTypes = {
  id: sql`integer`,
  bytes: sql`blob`,
  name: sql`text`,
};
