import type { CompiledQuery } from 'kysely';
import { loggedRun, type QueryListener } from './logged-run.ts';
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
  readonly #log: QueryListener | undefined;
  #database: SqliteDatabase | undefined;
  #closed = false;
  readonly #recent = new RecentRows();

  /** `file` is a path; it is opened at the first read. `log` hears of every query. */
  constructor(file: string, log?: QueryListener) {
    this.#file = file;
    this.#log = log;
  }

  rows<R>(query: CompiledQuery<R>): R[] {
    return loggedRun(this.#log, query, () => this.#read(query));
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
