import { Kysely, type LogEvent } from 'kysely';
import { type MigrationStatus, migrate, migrationStatus, requireCurrent } from '../migrate.ts';
import { PostgresDialect } from '../postgres-dialect.ts';
import type { PostgresOptions } from '../postgres-options.ts';
import { SqliteDialect } from '../sqlite-dialect.ts';
import { POSTGRES_TABLE_WORDS, SQLITE_TABLE_WORDS } from '../table-words.ts';
import { registryMigrations } from './migrations.ts';
import type { RegistrySchema } from './schema.ts';

export type RegistryDatabase = Kysely<RegistrySchema>;

/** Where a registry's metadata is. `file` is a path, or `:memory:` for tests. */
export type RegistryDatabaseOptions =
  | { readonly driver: 'sqlite'; readonly file: string }
  | ({ readonly driver: 'postgres' } & PostgresOptions);

/**
 * Opens a registry's database and brings it forward, or, with `migrate: false`, throws `unavailable` when it is not
 * up to date. `log` hears of every query. What was committed is on the disk: a push that was acknowledged survives a
 * power cut.
 */
export async function openRegistryDatabase(
  options: string | RegistryDatabaseOptions,
  { migrate: forward = true, log }: { migrate?: boolean; log?: ((event: LogEvent) => void) | undefined } = {},
): Promise<RegistryDatabase> {
  const chosen = typeof options === 'string' ? { driver: 'sqlite' as const, file: options } : options;
  if (forward && chosen.driver === 'postgres') await migrateRegistryDatabase(chosen);
  const db = connect(chosen, log);
  try {
    if (forward && chosen.driver === 'sqlite') await migrate(db, migrationsFor(chosen));
    else requireCurrent(await migrationStatus(db, migrationsFor(chosen)));
    return db;
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

/** Brings a database forward and returns the names of the migrations that this took. */
export function migrateRegistryDatabase(options: RegistryDatabaseOptions): Promise<string[]> {
  return withMaintenance(options, (db) => migrate(db, migrationsFor(options)));
}

export function registryMigrationStatus(options: RegistryDatabaseOptions): Promise<MigrationStatus> {
  return withMaintenance(options, (db) => migrationStatus(db, migrationsFor(options)));
}

/** A connection without a limit on time: a migration may have a large table to go through. */
async function withMaintenance<T>(
  options: RegistryDatabaseOptions,
  task: (db: RegistryDatabase) => Promise<T>,
): Promise<T> {
  const patient = options.driver === 'postgres' ? { maxConnections: 1, statementTimeout: 0 } : {};
  const db = connect({ ...options, ...patient });
  try {
    return await task(db);
  } finally {
    await db.destroy();
  }
}

function connect(options: RegistryDatabaseOptions, log?: (event: LogEvent) => void): RegistryDatabase {
  const dialect =
    options.driver === 'postgres'
      ? new PostgresDialect(options)
      : new SqliteDialect({ file: options.file, synchronous: 'full', log });
  return new Kysely<RegistrySchema>({ dialect, ...(log && { log }) });
}

function migrationsFor({ driver }: RegistryDatabaseOptions) {
  return registryMigrations(driver === 'postgres' ? POSTGRES_TABLE_WORDS : SQLITE_TABLE_WORDS);
}
