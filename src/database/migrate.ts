import { type Kysely, type Migration, Migrator, sql } from 'kysely';
import { unavailable } from '#errors/errors.ts';

/** What has to be done to a database, in the order of the names, and the table that remembers what was. */
export interface VersionedSchema {
  readonly migrations: Readonly<Record<string, Migration>>;
  readonly journal: string;
}

/** Where a database stands: names of migrations, in the order of their names. */
export interface MigrationStatus {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  /** Applied by a newer Slipway, which this one knows nothing of. */
  readonly unknown: readonly string[];
}

/**
 * Brings a database forward to the newest of its migrations (by name) and returns the names of those it applied. All
 * of it is one transaction. Processes that start at the same time wait for each other. Throws `unavailable` when a
 * newer Slipway was here, and the first failure otherwise.
 */
export async function migrate<T>(db: Kysely<T>, schema: VersionedSchema): Promise<string[]> {
  const { unknown } = await migrationStatus(db, schema);
  if (unknown.length > 0) throw newerSchema(unknown);
  const { error, results = [] } = await migratorOf(db, schema).migrateToLatest();
  if (error) throw error;
  return results.filter(({ status }) => status === 'Success').map(({ migrationName }) => migrationName);
}

/** Looks, and changes nothing. */
export async function migrationStatus<T>(
  db: Kysely<T>,
  { migrations, journal }: VersionedSchema,
): Promise<MigrationStatus> {
  const applied = new Set(await appliedTo(db, journal));
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

async function appliedTo<T>(db: Kysely<T>, journal: string): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some(({ name }) => name === journal)) return [];
  const rows = await sql<{ name: string }>`select name from ${sql.table(journal)}`.execute(db);
  return rows.rows.map(({ name }) => name);
}

function migratorOf<T>(db: Kysely<T>, { migrations, journal }: VersionedSchema): Migrator {
  return new Migrator({
    db,
    provider: { getMigrations: async () => ({ ...migrations }) },
    migrationTableName: journal,
    migrationLockTableName: `${journal}_lock`,
    allowUnorderedMigrations: true,
  });
}
