import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely';

/** A connection that runs a statement of the transaction that it has open at once: there is nothing to wait for. */
export interface DirectConnection extends DatabaseConnection {
  /** Throws when there is no transaction. */
  runNow<R>(query: CompiledQuery<R>): QueryResult<R>;
}

/** What a transaction of Kysely's stands on. */
interface TransactionExecutor {
  provideConnection<T>(consumer: (connection: DatabaseConnection) => Promise<T>): Promise<T>;
}

const connections = new WeakMap<TransactionExecutor, DatabaseConnection>();

/**
 * The connection of a transaction, if it is one that needs no waiting. Kysely hands it out in a dozen steps, each of which
 * waits for the next, and does so for each statement: that takes longer than most of them.
 */
export async function directConnection(executor: TransactionExecutor): Promise<DirectConnection | undefined> {
  let connection = connections.get(executor);
  if (!connection) {
    connection = await executor.provideConnection(async (it) => it);
    connections.set(executor, connection);
  }
  return 'runNow' in connection ? (connection as DirectConnection) : undefined;
}
