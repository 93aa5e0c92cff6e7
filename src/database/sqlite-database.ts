import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import type { CompiledQuery, QueryResult } from 'kysely';

/** Statements are prepared once and kept; the least recently used one makes room. */
const MAX_PREPARED = 500;

interface Prepared {
  readonly statement: StatementSync;
  readonly hasRows: boolean;
  readonly reads: boolean;
}

/** An open file, and what was prepared on it. */
export class SqliteDatabase {
  readonly #database: DatabaseSync;
  readonly #prepared = new Map<string, Prepared>();

  /**
   * `file` is a path, or `:memory:`. To be only read, it has to be a database already. `clock` says the time, in
   * milliseconds since 1970, instead of the machine.
   */
  constructor(
    file: string,
    { readOnly = false, clock }: { readOnly?: boolean; clock?: (() => number) | undefined } = {},
  ) {
    this.#database = new DatabaseSync(file, { enableForeignKeyConstraints: true, readOnly });
    if (clock) this.#database.function('unixepoch', { varargs: true }, () => clock() / 1000);
    if (readOnly) {
      this.#database.exec('PRAGMA busy_timeout = 10000; PRAGMA cache_size = -16000;');
      return;
    }
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = normal;
      PRAGMA busy_timeout = 10000;
      PRAGMA cache_size = -32000;
      PRAGMA wal_autocheckpoint = 10000;
      PRAGMA temp_store = MEMORY;
    `);
  }

  get inTransaction(): boolean {
    return this.#database.isTransaction;
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  /** Runs a control statement that comes again and again. */
  control(sql: string): void {
    this.#prepare(sql).statement.run();
  }

  /** Whether a statement is known to leave the database as it is. */
  onlyReads(query: CompiledQuery): boolean {
    return this.#prepare(query.sql).reads;
  }

  /** Another number whenever another connection, of whichever process, has changed the database. */
  version(): number {
    return this.#prepare('pragma data_version').statement.get()!.data_version as number;
  }

  run<R>(query: CompiledQuery): QueryResult<R> {
    const { statement, hasRows } = this.#prepare(query.sql);
    const parameters = query.parameters.map(toSqlite);
    if (hasRows) return { rows: statement.all(...parameters) as R[] };
    const { changes, lastInsertRowid } = statement.run(...parameters);
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
  }

  *iterate<R>(query: CompiledQuery): Generator<R> {
    // Its own statement: an iterator that is still open must not be reset by another run of the same SQL.
    const statement = this.#database.prepare(query.sql);
    for (const row of statement.iterate(...query.parameters.map(toSqlite))) yield row as R;
  }

  close(): void {
    this.#prepared.clear();
    this.#database.close();
  }

  #prepare(sql: string): Prepared {
    let prepared = this.#prepared.get(sql);
    if (prepared) this.#prepared.delete(sql);
    else {
      const statement = this.#database.prepare(sql);
      const reads = /^\s*(?:select|pragma|explain)\b/i.test(sql);
      prepared = { statement, hasRows: statement.columns().length > 0, reads };
      const oldest = this.#prepared.size >= MAX_PREPARED ? this.#prepared.keys().next().value : undefined;
      if (oldest !== undefined) this.#prepared.delete(oldest);
    }
    this.#prepared.set(sql, prepared);
    return prepared;
  }
}

function toSqlite(value: unknown): SQLInputValue {
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (value instanceof Date) return value.toISOString();
  return (value ?? null) as SQLInputValue;
}
