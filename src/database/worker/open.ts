import { Kysely } from 'kysely';
import { migrate } from '../migrate.ts';
import { SqliteDialect } from '../sqlite-dialect.ts';
import { buildMigrations } from './build-migrations.ts';
import { containerMigrations } from './containers-migrations.ts';
import { imageMigrations } from './images-migrations.ts';
import { networkMigrations } from './networks-migrations.ts';
import type { WorkerSchema } from './schema.ts';
import { volumeMigrations } from './volumes-migrations.ts';

export type WorkerDatabase = Kysely<WorkerSchema>;

/**
 * Opens (and brings forward) a worker's database; `:memory:` for tests. Commits are not synced one by one: a
 * worker's containers and mounts do not outlive the machine's power either.
 */
export async function openWorkerDatabase(file: string): Promise<WorkerDatabase> {
  const db = new Kysely<WorkerSchema>({ dialect: new SqliteDialect({ file, synchronous: 'normal' }) });
  await migrate(db, {
    journal: 'kysely_migration',
    migrations: {
      ...imageMigrations,
      ...containerMigrations,
      ...networkMigrations,
      ...volumeMigrations,
      ...buildMigrations,
    },
  });
  return db;
}
