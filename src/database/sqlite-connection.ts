import type { CompiledQuery, QueryResult } from 'kysely';
import type { Semaphore } from '#async/semaphore.ts';
import type { CommitGroups, Membership } from './commit-group.ts';
import type { DirectConnection } from './direct-connection.ts';
import { loggedRun, type QueryListener } from './logged-run.ts';
import { isRelaxed } from './prepared.ts';
import type { SqliteDatabase } from './sqlite-database.ts';

/** One holder's turn with the database. */
export class SqliteConnection implements DirectConnection {
  readonly #database: SqliteDatabase;
  readonly #turn: Semaphore;
  readonly #groups: CommitGroups;
  readonly #log: QueryListener | undefined;
  #end: (() => void) | undefined;
  #transaction: Membership | undefined;

  constructor(
    ports: { database: SqliteDatabase; turn: Semaphore; groups: CommitGroups },
    log: QueryListener | undefined,
  ) {
    this.#database = ports.database;
    this.#turn = ports.turn;
    this.#groups = ports.groups;
    this.#log = log;
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

  begin(): void {
    this.#transaction = this.#groups.enter();
  }

  /** The next one has its turn meanwhile: what it writes is committed along with this, or after it. */
  async commit(): Promise<void> {
    const durable = this.#transaction!.keep();
    this.#transaction = undefined;
    this.release();
    await durable;
  }

  /** A transaction whose commit failed was taken back by that. */
  rollback(): void {
    this.#transaction?.undo();
    this.#transaction = undefined;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    if (!this.#end) await this.take();
    if (this.#transaction || !isWrite(this.#database, query)) return this.#database.run<R>(query);
    return await this.#runAlone<R>(query);
  }

  runNow<R>(query: CompiledQuery<R>): QueryResult<R> {
    if (!this.#transaction) throw new Error('the transaction has ended');
    return loggedRun(this.#log, query, () => this.#database.run<R>(query));
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncGenerator<QueryResult<R>> {
    if (!this.#end) await this.take();
    for (const row of this.#database.iterate<R>(query)) yield { rows: [row] };
  }

  /** A write without a transaction is one by itself. */
  async #runAlone<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const membership = this.#groups.enter();
    let result: QueryResult<R>;
    try {
      result = this.#database.run<R>(query);
    } catch (error) {
      membership.undo();
      throw error;
    }
    if (isRelaxed(query)) {
      membership.keepRelaxed();
      this.release();
    } else {
      const durable = membership.keep();
      this.release();
      await durable;
    }
    return result;
  }
}

/** What SQLite runs in no transaction is run as it is. */
function isWrite(database: SqliteDatabase, query: CompiledQuery): boolean {
  return !/^\s*(?:vacuum|attach|detach)\b/i.test(query.sql) && !database.onlyReads(query);
}
