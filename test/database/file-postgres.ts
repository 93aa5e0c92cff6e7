import { migrateRegistryDatabase, type RegistryDatabaseOptions } from '#database/registry/open.ts';
import { PostgresServer } from './postgres-server.ts';
import { postgresOptions } from './registry-databases.ts';

const TEMPLATE = 'migrated';
let server: Promise<PostgresServer> | undefined;

/** Whether this is Vitest's project `postgres`, which runs tests of the API once more. */
const chosen = process.env.TEST_DATABASE === 'postgres';

// Known while the tests are collected: the server goes when those of the file are over.
if (chosen) {
  const { afterAll } = await import('vitest');
  afterAll(async () => {
    await (await server)?.[Symbol.asyncDispose]();
  });
}

/** A database of its own on the server of this test file; undefined where tests run on SQLite. */
export async function databaseOfFile(): Promise<RegistryDatabaseOptions | undefined> {
  if (!chosen) return undefined;
  server ??= start();
  return postgresOptions(await (await server).createDatabase(TEMPLATE));
}

async function start(): Promise<PostgresServer> {
  const started = await PostgresServer.start();
  await started.query(`create database ${TEMPLATE}`);
  await migrateRegistryDatabase(postgresOptions(started.url(TEMPLATE)));
  return started;
}
