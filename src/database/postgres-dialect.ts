import {
  type CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryCompiler,
  type QueryResult,
  type TransactionSettings,
} from 'kysely';
import type { Pool, PoolClient } from 'pg';
import { failureBehind, toSlipwayError } from './postgres-error.ts';
import type { PostgresOptions } from './postgres-options.ts';
import { createPool } from './postgres-pool.ts';
import { statementName } from './prepared.ts';

/**
 * Kysely on PostgreSQL. Errors that are not the statement's fault are `unavailable`; a broken connection is
 * replaced, so the database may go away and come back. Queries made by `prepare` are named prepared statements.
 */
export class PostgresDialect implements Dialect {
  readonly #options: PostgresOptions;

  constructor(options: PostgresOptions) {
    this.#options = options;
  }

  createDriver(): Driver {
    return new PostgresDriver(this.#options);
  }

  createQueryCompiler(): QueryCompiler {
    return new PostgresQueryCompiler();
  }

  createAdapter(): DialectAdapter {
    return new PostgresAdapter();
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new PostgresIntrospector(db);
  }
}

class PostgresDriver implements Driver {
  readonly #options: PostgresOptions;
  #pool: Pool | undefined;

  constructor(options: PostgresOptions) {
    this.#options = options;
  }

  async init(): Promise<void> {
    this.#pool = createPool(this.#options);
  }

  async acquireConnection(): Promise<PostgresConnection> {
    const connection = new PostgresConnection(this.#pool!);
    await connection.take();
    return connection;
  }

  async releaseConnection(connection: PostgresConnection): Promise<void> {
    connection.release();
  }

  async beginTransaction(connection: PostgresConnection, settings: TransactionSettings): Promise<void> {
    const level = settings.isolationLevel ? ` isolation level ${settings.isolationLevel}` : '';
    await connection.begin(`begin${level}`);
  }

  async commitTransaction(connection: PostgresConnection): Promise<void> {
    await connection.end('commit');
  }

  async rollbackTransaction(connection: PostgresConnection): Promise<void> {
    // The server rolls back what it cannot be told about any more; the error that led here is the one to tell.
    await connection.end('rollback').catch(() => {});
  }

  async destroy(): Promise<void> {
    await this.#pool?.end();
  }
}

const READS = /^\s*select\b(?!.*\bfor\s+(?:no\s+key\s+update|update|key\s+share|share)\b)/is;
const COUNTS = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

/** One holder's turn with a connection of the pool. */
class PostgresConnection implements DatabaseConnection {
  readonly #pool: Pool;
  #client: PoolClient | undefined;
  #inTransaction = false;
  #broken = false;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async take(): Promise<void> {
    try {
      this.#client = await this.#pool.connect();
    } catch (error) {
      throw toSlipwayError(error);
    }
  }

  release(): void {
    this.#client?.release(this.#broken);
    this.#client = undefined;
    this.#broken = false;
  }

  /** Begins a transaction. A connection that turns out to be gone is replaced: nothing is lost with it yet. */
  async begin(sql: string): Promise<void> {
    await this.#onLiveConnection(() => this.#query({ text: sql }));
    this.#inTransaction = true;
  }

  async end(sql: 'commit' | 'rollback'): Promise<void> {
    this.#inTransaction = false;
    if (!this.#broken) await this.#query({ text: sql });
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const run = () =>
      this.#query({ text: query.sql, values: query.parameters as unknown[], name: statementName(query) });
    const again = !this.#inTransaction && READS.test(query.sql);
    const { command, rowCount, rows } = await (again ? this.#onLiveConnection(run) : run());
    return {
      rows: rows as R[],
      ...(COUNTS.has(command) && { numAffectedRows: BigInt(rowCount ?? 0) }),
    };
  }

  // biome-ignore lint/correctness/useYield: the interface asks for it, and nothing in Slipway reads this way.
  async *streamQuery<R>(): AsyncGenerator<QueryResult<R>> {
    throw new Error('rows are read in pages here, not streamed');
  }

  async #onLiveConnection<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (!this.#broken) throw error;
      this.release();
      await this.take();
      return await run();
    }
  }

  async #query(query: { text: string; values?: unknown[]; name?: string | undefined }) {
    const client = this.#client;
    if (!client) throw new Error('the connection was released');
    try {
      // Copied: `pg` turns the values into text where they are.
      return await client.query({ ...query, values: query.values && [...query.values] } as never);
    } catch (thrown) {
      const error = toSlipwayError(thrown);
      if (failureBehind(error) === 'connection') this.#broken = true;
      throw error;
    }
  }
}
