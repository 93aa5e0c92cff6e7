import {
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  type QueryCompiler,
  type SelectModifierNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { Semaphore } from '#async/semaphore.ts';
import { CommitGroups } from './commit-group.ts';
import type { QueryListener } from './logged-run.ts';
import type { AdapterWithReads } from './prepared.ts';
import { SqliteConnection } from './sqlite-connection.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { SqliteReads } from './sqlite-reads.ts';
import { WalSync } from './wal-sync.ts';

export interface SqliteOptions {
  /** A path, or `:memory:`. */
  readonly file: string;
  /**
   * `full` syncs every commit to disk: what was acknowledged survives a power cut. `normal` leaves that to the
   * checkpoints: it survives the process, not the machine.
   */
  readonly synchronous: 'full' | 'normal';
  /** As of `SqliteDatabase`. */
  readonly clock?: (() => number) | undefined;
  /** Hears of the queries that do not go through Kysely. */
  readonly log?: QueryListener | undefined;
}

/**
 * Kysely on Node's own SQLite. One connection: SQLite has one writer anyway, and its reads take microseconds.
 * Transactions queue for it; statements outside a transaction wait while one is open. Those that come while the disk
 * syncs are committed together (see `CommitGroups`): a read may show what is about to be committed. Prepared reads
 * outside transactions have a connection of their own (see `SqliteReads`).
 */
export class SqliteDialect implements Dialect {
  readonly #options: SqliteOptions;
  readonly #reads: SqliteReads | undefined;

  constructor(options: SqliteOptions) {
    this.#options = options;
    if (options.file !== ':memory:') this.#reads = new SqliteReads(options.file, options.log);
  }

  createDriver(): Driver {
    return new SqliteDriver(this.#options, this.#reads);
  }

  createQueryCompiler(): QueryCompiler {
    return new OneWriterQueryCompiler();
  }

  createAdapter(): DialectAdapter {
    return new TransactionalAdapter(this.#reads);
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
class TransactionalAdapter extends SqliteAdapter implements AdapterWithReads {
  readonly reads: SqliteReads | undefined;

  constructor(reads: SqliteReads | undefined) {
    super();
    this.reads = reads;
  }

  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class SqliteDriver implements Driver {
  readonly #options: SqliteOptions;
  readonly #reads: SqliteReads | undefined;
  readonly #turn = new Semaphore(1);
  #database: SqliteDatabase | undefined;
  #groups: CommitGroups | undefined;
  #walSync: WalSync | undefined;

  constructor(options: SqliteOptions, reads: SqliteReads | undefined) {
    this.#options = options;
    this.#reads = reads;
  }

  async init(): Promise<void> {
    this.#database = new SqliteDatabase(this.#options.file, { clock: this.#options.clock });
    this.#groups = new CommitGroups(this.#database, this.#turn, () => this.#sync());
  }

  async acquireConnection(): Promise<SqliteConnection> {
    const [database, groups] = [this.#database!, this.#groups!];
    const connection = new SqliteConnection({ database, groups, turn: this.#turn }, this.#options.log);
    await connection.take();
    return connection;
  }

  async releaseConnection(connection: SqliteConnection): Promise<void> {
    connection.release();
  }

  async beginTransaction(connection: SqliteConnection): Promise<void> {
    connection.begin();
  }

  async commitTransaction(connection: SqliteConnection): Promise<void> {
    await connection.commit();
  }

  async rollbackTransaction(connection: SqliteConnection): Promise<void> {
    connection.rollback();
  }

  async destroy(): Promise<void> {
    await this.#groups?.idle();
    await this.#walSync?.close();
    this.#reads?.close();
    this.#database?.close();
  }

  /** Resolves when what was committed is as durable as the options ask. */
  async #sync(): Promise<void> {
    const { file, synchronous } = this.#options;
    if (synchronous === 'normal' || file === ':memory:') return;
    this.#walSync ??= new WalSync(file);
    await this.#walSync.synced();
  }
}
