import { type Kysely, type Migration, Migrator } from 'kysely';
import { unavailable } from '#errors/errors.ts';

export type Migrations = Readonly<Record<string, Migration>>;

/** Where a database stands: names of migrations, in the order of their names. */
export interface MigrationStatus {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  /** Applied by a newer Slipway, which this one knows nothing of. */
  readonly unknown: readonly string[];
}

/**
 * Brings a database forward to the newest of `migrations` (by name) and returns the names of those it applied. All
 * of it is one transaction. Processes that start at the same time wait for each other. Throws `unavailable` when a
 * newer Slipway was here, and the first failure otherwise.
 */
export async function migrate<T>(db: Kysely<T>, migrations: Migrations): Promise<string[]> {
  const { unknown } = await migrationStatus(db, migrations);
  if (unknown.length > 0) throw newerSchema(unknown);
  const { error, results = [] } = await migratorOf(db, migrations).migrateToLatest();
  if (error) throw error;
  return results.filter(({ status }) => status === 'Success').map(({ migrationName }) => migrationName);
}

/** Looks, and changes nothing. */
export async function migrationStatus<T>(db: Kysely<T>, migrations: Migrations): Promise<MigrationStatus> {
  const applied = new Set(await appliedTo(db));
  const known = Object.keys(migrations).toSorted();
  return {
    applied: known.filter((name) => applied.has(name)),
    pending: known.filter((name) => !applied.has(name)),
    unknown: [...applied].filter((name) => !Object.hasOwn(migrations, name)).toSorted(),
  };
}

/** For a process that leaves the schema as it is. Throws `unavailable` when that is not the one it knows. */
export function requireCurrent({ pending, unknown }: MigrationStatus): void {
  if (unknown.length > 0) throw newerSchema(unknown);
  if (pending.length > 0) {
    throw unavailable(`the database lacks ${pending.join(', ')}: run 'slipway migrate'`);
  }
}

function newerSchema(unknown: readonly string[]) {
  return unavailable(
    `the database was brought forward by a newer Slipway (${unknown.join(', ')}): this one would not understand it`,
  );
}

async function appliedTo<T>(db: Kysely<T>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some(({ name }) => name === 'kysely_migration')) return [];
  const journal = db as unknown as Kysely<{ kysely_migration: { name: string } }>;
  const rows = await journal.selectFrom('kysely_migration').select('name').execute();
  return rows.map(({ name }) => name);
}

function migratorOf<T>(db: Kysely<T>, migrations: Migrations): Migrator {
  return new Migrator({
    db,
    provider: { getMigrations: async () => ({ ...migrations }) },
    allowUnorderedMigrations: true,
  });
}
