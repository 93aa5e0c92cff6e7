import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import type { DatabaseOptions } from '#database/open.ts';
import { openPoolDatabase, type PoolDatabase, poolDatabase } from '#database/pool/open.ts';
import { PostgresServer } from './postgres-server.ts';
import { postgresOptions } from './registry-databases.ts';

/** An empty pool database of one test, and as many connections to it as it asks for. */
export interface TestPool extends AsyncDisposable {
  readonly db: PoolDatabase;
  /** Another process's, as far as the database can tell. */
  another(): Promise<PoolDatabase>;
}

/** Runs a suite on SQLite and on a real PostgreSQL. */
export function onEachPoolDatabase(
  name: string,
  suite: (create: () => Promise<TestPool>, dialect: 'sqlite' | 'postgres') => void,
): void {
  describe(`${name} on sqlite`, () => {
    suite(async () => {
      const folder = await mkdtemp(join(tmpdir(), 'slipway-pool-'));
      const remove = () => rm(folder, { recursive: true, force: true });
      return await open({ driver: 'sqlite', file: join(folder, 'pool.db') }, remove);
    }, 'sqlite');
  });
  describe(`${name} on postgres`, () => {
    let server: PostgresServer;
    beforeAll(async () => {
      server = await PostgresServer.start();
      await server.query('create database migrated');
      await poolDatabase.migrate(postgresOptions(server.url('migrated')));
    });
    afterAll(async () => {
      await server?.[Symbol.asyncDispose]();
    });
    suite(
      async () => open(postgresOptions(await server.createDatabase('migrated')), async () => {}),
      'postgres',
    );
  });
}

async function open(options: DatabaseOptions, remove: () => Promise<void>): Promise<TestPool> {
  const opened: PoolDatabase[] = [];
  const another = async () => {
    const db = await openPoolDatabase(options, { migrate: options.driver === 'sqlite' });
    opened.push(db);
    return db;
  };
  return {
    db: await another(),
    another,
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.map((db) => db.destroy()));
      await remove();
    },
  };
}
