import type { CompiledQuery, LogEvent } from 'kysely';
import type { DirectReads } from './prepared.ts';
import { RecentRows } from './recent-rows.ts';
import { SqliteDatabase } from './sqlite-database.ts';

/**
 * Prepared reads on a connection of their own. They see what was committed when they begin and wait for nobody who
 * writes; without Kysely in between, and at once, as they take microseconds. What was read is kept until anything is
 * written, by whichever process: SQLite tells (`PRAGMA data_version`). The same rows may go to several callers.
 */
export class SqliteReads implements DirectReads {
  readonly #file: string;
  readonly #log: ((event: LogEvent) => void) | undefined;
  #database: SqliteDatabase | undefined;
  #closed = false;
  readonly #recent = new RecentRows();

  /** `file` is a path; it is opened at the first read. `log` hears of every query. */
  constructor(file: string, log?: (event: LogEvent) => void) {
    this.#file = file;
    this.#log = log;
  }

  rows<R>(query: CompiledQuery<R>): R[] {
    if (!this.#log) return this.#read(query);
    const started = performance.now();
    const event = (level: LogEvent['level'], error?: unknown) =>
      ({ level, query, queryDurationMillis: performance.now() - started, error }) as LogEvent;
    try {
      const rows = this.#read(query);
      this.#log(event('query'));
      return rows;
    } catch (error) {
      this.#log(event('error', error));
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    this.#database?.close();
    this.#database = undefined;
  }

  #read<R>(query: CompiledQuery<R>): R[] {
    const database = this.#open();
    this.#recent.keepOnlyOf(database.version());
    return this.#recent.rows(query, () => database.run<R>(query).rows);
  }

  #open(): SqliteDatabase {
    if (this.#closed) throw new Error('the database was closed');
    this.#database ??= new SqliteDatabase(this.#file, { readOnly: true });
    return this.#database;
  }
}
