import { Kysely } from 'kysely';
import { migrate } from '../migrate.ts';
import { SqliteDialect } from '../sqlite-dialect.ts';
import { SQLITE_TABLE_WORDS } from '../table-words.ts';
import { registryMigrations } from './migrations.ts';
import type { RegistrySchema } from './schema.ts';

export type RegistryDatabase = Kysely<RegistrySchema>;

/**
 * Opens (and brings forward) a registry's database; `:memory:` for tests. Every commit is synced: a push that
 * was acknowledged survives a power cut.
 */
export async function openRegistryDatabase(file: string): Promise<RegistryDatabase> {
  const db = new Kysely<RegistrySchema>({ dialect: new SqliteDialect({ file, synchronous: 'full' }) });
  await migrate(db, registryMigrations(SQLITE_TABLE_WORDS));
  return db;
}
