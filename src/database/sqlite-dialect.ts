import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import {
  type CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  type QueryCompiler,
  type QueryResult,
  type SelectModifierNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { Semaphore } from '#async/semaphore.ts';
import { WalSync } from './wal-sync.ts';

export interface SqliteOptions {
  /** A path, or `:memory:`. */
  readonly file: string;
  /**
   * `full` syncs every commit to disk: what was acknowledged survives a power cut. `normal` leaves that to the
   * checkpoints: it survives the process, not the machine.
   */
  readonly synchronous: 'full' | 'normal';
}

/**
 * Kysely on Node's own SQLite. One connection: SQLite has one writer anyway, and its reads take microseconds.
 * Transactions queue for it; statements outside a transaction wait while one is open. Nobody waits for the sync
 * of another's commit.
 */
export class SqliteDialect implements Dialect {
  readonly #options: SqliteOptions;

  constructor(options: SqliteOptions) {
    this.#options = options;
  }

  createDriver(): Driver {
    return new SqliteDriver(this.#options);
  }

  createQueryCompiler(): QueryCompiler {
    return new OneWriterQueryCompiler();
  }

  createAdapter(): DialectAdapter {
    return new TransactionalAdapter();
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new SqliteIntrospector(db);
  }
}

/** Transactions run one after another here, so the locks on rows that PostgreSQL needs are left out. */
class OneWriterQueryCompiler extends SqliteQueryCompiler {
  protected override visitSelectModifier(node: SelectModifierNode): void {
    if (node.modifier === 'Distinct' || node.rawModifier) super.visitSelectModifier(node);
  }
}

/** SQLite rolls tables back as it does rows: a migration that was cut off did not happen. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class SqliteDriver implements Driver {
  readonly #options: SqliteOptions;
  readonly #turn = new Semaphore(1);
  #database: SqliteDatabase | undefined;

  constructor(options: SqliteOptions) {
    this.#options = options;
  }

  async init(): Promise<void> {
    this.#database = new SqliteDatabase(this.#options);
  }

  async acquireConnection(): Promise<SqliteConnection> {
    const connection = new SqliteConnection(this.#database!, this.#turn);
    await connection.take();
    return connection;
  }

  async releaseConnection(connection: SqliteConnection): Promise<void> {
    connection.release();
  }

  async beginTransaction(connection: SqliteConnection): Promise<void> {
    connection.control('begin immediate');
  }

  async commitTransaction(connection: SqliteConnection): Promise<void> {
    connection.control('commit');
    // The next one may have its turn meanwhile: what it commits is synced along with this, or after it.
    connection.release();
    await this.#database!.durable();
  }

  async rollbackTransaction(connection: SqliteConnection): Promise<void> {
    connection.control('rollback');
  }

  async destroy(): Promise<void> {
    await this.#database?.close();
  }
}

/** Statements are prepared once and kept; the least recently used one makes room. */
const MAX_PREPARED = 500;

interface Prepared {
  readonly statement: StatementSync;
  readonly hasRows: boolean;
  readonly reads: boolean;
}

/** The open file, and what was prepared on it. */
class SqliteDatabase {
  readonly #database: DatabaseSync;
  readonly #options: SqliteOptions;
  #walSync: WalSync | undefined;
  readonly #prepared = new Map<string, Prepared>();

  constructor(options: SqliteOptions) {
    this.#options = options;
    this.#database = new DatabaseSync(options.file, { enableForeignKeyConstraints: true });
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

  /** Resolves when what was committed is as durable as the options ask. */
  async durable(): Promise<void> {
    const { file, synchronous } = this.#options;
    if (synchronous === 'normal' || file === ':memory:') return;
    this.#walSync ??= new WalSync(file);
    await this.#walSync.synced();
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  run<R>(query: CompiledQuery): { result: QueryResult<R>; wrote: boolean } {
    const { statement, hasRows, reads } = this.#prepare(query.sql);
    const parameters = query.parameters.map(toSqlite);
    if (hasRows) return { result: { rows: statement.all(...parameters) as R[] }, wrote: !reads };
    const { changes, lastInsertRowid } = statement.run(...parameters);
    const result = { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
    return { result, wrote: true };
  }

  *iterate<R>(query: CompiledQuery): Generator<R> {
    // Its own statement: an iterator that is still open must not be reset by another run of the same SQL.
    const statement = this.#database.prepare(query.sql);
    for (const row of statement.iterate(...query.parameters.map(toSqlite))) yield row as R;
  }

  async close(): Promise<void> {
    this.#prepared.clear();
    await this.#walSync?.close();
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

/** One holder's turn with the database. */
class SqliteConnection implements DatabaseConnection {
  readonly #database: SqliteDatabase;
  readonly #turn: Semaphore;
  #end: (() => void) | undefined;

  constructor(database: SqliteDatabase, turn: Semaphore) {
    this.#database = database;
    this.#turn = turn;
  }

  async take(): Promise<void> {
    await new Promise<void>((taken) => {
      void this.#turn.run(
        () =>
          new Promise<void>((end) => {
            this.#end = end;
            taken();
          }),
      );
    });
  }

  release(): void {
    this.#end?.();
    this.#end = undefined;
  }

  /** Begins or ends a transaction; without the turn there is none to end. */
  control(sql: 'begin immediate' | 'commit' | 'rollback'): void {
    if (this.#end) this.#database.exec(sql);
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { result, wrote } = this.#database.run<R>(query);
    if (wrote && !this.#database.inTransaction) {
      this.release();
      await this.#database.durable();
      await this.take();
    }
    return result;
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncGenerator<QueryResult<R>> {
    for (const row of this.#database.iterate<R>(query)) yield { rows: [row] };
  }
}

function toSqlite(value: unknown): SQLInputValue {
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (value instanceof Date) return value.toISOString();
  return (value ?? null) as SQLInputValue;
}
