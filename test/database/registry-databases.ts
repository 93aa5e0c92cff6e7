import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import {
  migrateRegistryDatabase,
  openRegistryDatabase,
  type RegistryDatabase,
  type RegistryDatabaseOptions,
} from '#database/registry/open.ts';
import { PostgresServer } from './postgres-server.ts';

/** An empty registry database of one test. Disposing closes all that was opened on it. */
export interface TestDatabase extends AsyncDisposable {
  readonly options: RegistryDatabaseOptions;
  readonly db: RegistryDatabase;
  /** Opens it once more, with connections of its own: another process, as far as the database can tell. */
  another(): Promise<RegistryDatabase>;
}

/**
 * Runs a suite on SQLite and on a real PostgreSQL. `create` gives a test an empty database that is up to date:
 *
 *     onEachDatabase('tags', (create) => {
 *       it('lists them in order', async () => {
 *         await using database = await create();
 *         const tags = new TagsRepository(database.db);
 */
export function onEachDatabase(
  name: string,
  suite: (create: () => Promise<TestDatabase>, dialect: 'sqlite' | 'postgres') => void,
): void {
  describe(`${name} on sqlite`, () => {
    suite(createSqlite, 'sqlite');
  });
  describe(`${name} on postgres`, () => {
    suite(useRegistryPostgres().create, 'postgres');
  });
}

/** A PostgreSQL for the tests of a `describe`, with a database for each that asks. */
export function useRegistryPostgres(): { server(): PostgresServer; create(): Promise<TestDatabase> } {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start();
    await server.query('create database migrated');
    await migrateRegistryDatabase(postgresOptions(server.url('migrated')));
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });
  return {
    server: () => server,
    create: async () =>
      openDatabase(postgresOptions(await server.createDatabase('migrated')), async () => {}),
  };
}

export function postgresOptions(url: string): RegistryDatabaseOptions & { driver: 'postgres' } {
  return {
    driver: 'postgres',
    url,
    applicationName: 'slipway test',
    maxConnections: 8,
    connectTimeout: 5_000,
    statementTimeout: 20_000,
  };
}

async function createSqlite(): Promise<TestDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-database-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  return await openDatabase({ driver: 'sqlite', file: join(folder, 'registry.db') }, remove);
}

async function openDatabase(
  options: RegistryDatabaseOptions,
  remove: () => Promise<void>,
): Promise<TestDatabase> {
  const opened: RegistryDatabase[] = [];
  const another = async () => {
    const db = await openRegistryDatabase(options, { migrate: options.driver === 'sqlite' });
    opened.push(db);
    return db;
  };
  return {
    options,
    db: await another(),
    another,
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.map((db) => db.destroy()));
      await remove();
    },
  };
}
