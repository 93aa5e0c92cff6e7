import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kysely, type Migration, sql } from 'kysely';
import { afterAll, describe, expect, it } from 'vitest';
import { migrate, migrationStatus } from '#database/migrate.ts';
import { watchChanges } from '#database/registry/changes.ts';
import {
  migrateRegistryDatabase,
  openRegistryDatabase,
  type RegistryDatabaseOptions,
  registryMigrationStatus,
} from '#database/registry/open.ts';
import { SqliteDialect } from '#database/sqlite-dialect.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { EventFeedRepository } from '#registry/events/event-feed-repository.ts';
import { recordEvents } from '#registry/events/events-repository.ts';
import { postgresOptions, useRegistryPostgres } from '../../database/registry-databases.ts';

function contract(name: string, create: () => Promise<RegistryDatabaseOptions>): void {
  describe(`migrations on ${name}`, () => {
    it('say what they would do, do it, and have nothing to do afterwards', async () => {
      const options = await create();
      const before = await registryMigrationStatus(options);
      expect(before.applied).toEqual([]);
      expect(before.pending).toContain('registry-0001-distribution');
      // Looking changed nothing.
      expect(await registryMigrationStatus(options)).toEqual(before);
      expect((await migrateRegistryDatabase(options)).toSorted()).toEqual(before.pending);
      expect(await migrateRegistryDatabase(options)).toEqual([]);
      const after = await registryMigrationStatus(options);
      expect(after).toEqual({ applied: before.pending, pending: [], unknown: [] });
    });

    it('refuse a database that a newer Slipway was at, and one that has to be brought forward first', async () => {
      const options = await create();
      const early = openRegistryDatabase(options, { migrate: false });
      await expect(early).rejects.toMatchObject({ kind: 'unavailable', message: /slipway migrate/ });
      const db = await openRegistryDatabase(options);
      await sql`insert into kysely_migration (name, timestamp) values ('registry-9999-future', '')`.execute(
        db,
      );
      await db.destroy();
      for (const migrating of [true, false]) {
        await expect(openRegistryDatabase(options, { migrate: migrating })).rejects.toMatchObject({
          kind: 'unavailable',
          message: /newer Slipway \(registry-9999-future\)/,
        });
      }
      expect((await registryMigrationStatus(options)).unknown).toEqual(['registry-9999-future']);
    });
  });
}

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function file(): string {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-migrate-'));
  folders.push(folder);
  return join(folder, 'registry.db');
}

contract('sqlite', async () => ({ driver: 'sqlite', file: file() }));

describe('on a server', () => {
  const postgres = useRegistryPostgres();
  const empty = async () => postgresOptions(await postgres.server().createDatabase());

  contract('postgres', empty);

  it('need no more than a user who owns the database, nor does what runs on them', async () => {
    await postgres.server().query('create role plain login');
    await postgres.server().query('create database owned owner plain');
    const url = new URL(postgres.server().url('owned'));
    url.username = 'plain';
    const options = postgresOptions(url.href);
    const db = await openRegistryDatabase(options);
    await recordEvents(db, SYSTEM, [{ action: 'tag.delete', tag: 'x' }]);
    const { events } = await new EventFeedRepository(db).after('', 10);
    expect(events.map(({ tag }) => tag)).toEqual(['x']);
    await (await watchChanges(db, options))[Symbol.asyncDispose]();
    await db.destroy();
  });

  it('are made once by processes that start at the same time', async () => {
    const options = await empty();
    const opened = await Promise.all([1, 2, 3, 4].map(() => openRegistryDatabase(options)));
    const [db] = opened;
    const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(db!);
    expect(rows.map(({ name }) => name).toSorted()).toEqual((await registryMigrationStatus(options)).applied);
    await Promise.all(opened.map((it) => it.destroy()));
  });
});

const journaled = (migrations: Record<string, Migration>) => ({ migrations, journal: 'kysely_migration' });

it('that fail on SQLite did not happen, none of them', async () => {
  const db = new Kysely<unknown>({ dialect: new SqliteDialect({ file: file(), synchronous: 'full' }) });
  const table = (name: string): Migration => ({
    async up(on) {
      await on.schema.createTable(name).addColumn('id', 'integer').execute();
    },
  });
  const broken: Migration = {
    async up(on) {
      await on.schema.createTable('half').addColumn('id', 'integer').execute();
      throw new Error('cut off');
    },
  };
  await expect(migrate(db, journaled({ one: table('one'), two: broken }))).rejects.toThrow('cut off');
  expect((await migrationStatus(db, journaled({ one: table('one') }))).applied).toEqual([]);
  const names = (await db.introspection.getTables()).map(({ name }) => name);
  expect(names).not.toContain('half');
  expect(names).not.toContain('one');
  expect(await migrate(db, journaled({ one: table('one'), two: table('half') }))).toEqual(['one', 'two']);
  await db.destroy();
});
