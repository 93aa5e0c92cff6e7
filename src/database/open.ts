import { Kysely, type LogEvent } from 'kysely';
import {
  type MigrationStatus,
  migrate,
  migrationStatus,
  requireCurrent,
  type VersionedSchema,
} from './migrate.ts';
import { PostgresDialect } from './postgres-dialect.ts';
import type { PostgresOptions } from './postgres-options.ts';
import { SqliteDialect } from './sqlite-dialect.ts';
import { POSTGRES_TABLE_WORDS, SQLITE_TABLE_WORDS, type TableWords } from './table-words.ts';

/** Where a shared database is. `file` is a path, or `:memory:` for tests. */
export type DatabaseOptions =
  | {
      readonly driver: 'sqlite';
      readonly file: string;
      /** Says the time, in milliseconds since 1970, instead of the machine: in simulations. */
      readonly clock?: () => number;
    }
  | ({ readonly driver: 'postgres' } & PostgresOptions);

/**
 * A schema that lives in SQLite or in PostgreSQL: how to open it, and to bring it forward. What was committed is on the
 * disk: what was acknowledged survives a power cut.
 */
export class SharedDatabase<Schema> {
  readonly #schemaFor: (words: TableWords) => VersionedSchema;

  constructor(schemaFor: (words: TableWords) => VersionedSchema) {
    this.#schemaFor = schemaFor;
  }

  /**
   * Brings it forward first, or, with `migrate: false`, throws `unavailable` when it is not up to date. `log` hears of
   * every query.
   */
  async open(
    options: DatabaseOptions,
    {
      migrate: forward = true,
      log,
    }: { migrate?: boolean; log?: ((event: LogEvent) => void) | undefined } = {},
  ): Promise<Kysely<Schema>> {
    if (forward && options.driver === 'postgres') await this.migrate(options);
    const db = connect<Schema>(options, log);
    try {
      if (forward && options.driver === 'sqlite') await migrate(db, this.#versions(options));
      else requireCurrent(await migrationStatus(db, this.#versions(options)));
      return db;
    } catch (error) {
      await db.destroy();
      throw error;
    }
  }

  /** Brings it forward and returns the names of the migrations that this took. */
  migrate(options: DatabaseOptions): Promise<string[]> {
    return withMaintenance(options, (db) => migrate(db, this.#versions(options)));
  }

  status(options: DatabaseOptions): Promise<MigrationStatus> {
    return withMaintenance(options, (db) => migrationStatus(db, this.#versions(options)));
  }

  #versions({ driver }: DatabaseOptions): VersionedSchema {
    return this.#schemaFor(driver === 'postgres' ? POSTGRES_TABLE_WORDS : SQLITE_TABLE_WORDS);
  }
}

/** A connection without a limit on time: a migration may have a large table to go through. */
async function withMaintenance<T>(
  options: DatabaseOptions,
  task: (db: Kysely<unknown>) => Promise<T>,
): Promise<T> {
  const patient = options.driver === 'postgres' ? { maxConnections: 1, statementTimeout: 0 } : {};
  const db = connect<unknown>({ ...options, ...patient });
  try {
    return await task(db);
  } finally {
    await db.destroy();
  }
}

function connect<Schema>(options: DatabaseOptions, log?: (event: LogEvent) => void): Kysely<Schema> {
  const dialect =
    options.driver === 'postgres'
      ? new PostgresDialect(options)
      : new SqliteDialect({ file: options.file, clock: options.clock, synchronous: 'full', log });
  return new Kysely<Schema>({ dialect, ...(log && { log }) });
}
