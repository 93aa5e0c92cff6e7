import type { Kysely, LogEvent } from 'kysely';
import type { MigrationStatus } from '../migrate.ts';
import { type DatabaseOptions, SharedDatabase } from '../open.ts';
import { registryMigrations } from './migrations.ts';
import type { RegistrySchema } from './schema.ts';

export type RegistryDatabase = Kysely<RegistrySchema>;
/** Where a registry's metadata is. */
export type RegistryDatabaseOptions = DatabaseOptions;

const registryDatabase = new SharedDatabase<RegistrySchema>((words) => ({
  migrations: registryMigrations(words),
  journal: 'kysely_migration',
}));

/** As `SharedDatabase.open`; a text is the path of an SQLite file. */
export function openRegistryDatabase(
  options: string | RegistryDatabaseOptions,
  opening: { migrate?: boolean; log?: ((event: LogEvent) => void) | undefined } = {},
): Promise<RegistryDatabase> {
  const chosen = typeof options === 'string' ? { driver: 'sqlite' as const, file: options } : options;
  return registryDatabase.open(chosen, opening);
}

/** Brings a database forward and returns the names of the migrations that this took. */
export function migrateRegistryDatabase(options: RegistryDatabaseOptions): Promise<string[]> {
  return registryDatabase.migrate(options);
}

export function registryMigrationStatus(options: RegistryDatabaseOptions): Promise<MigrationStatus> {
  return registryDatabase.status(options);
}
