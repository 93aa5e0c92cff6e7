import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Dialect, Kysely, sql } from 'kysely';
import { afterAll, describe, expect, it } from 'vitest';
import { migrate } from '#database/migrate.ts';
import { PostgresDialect } from '#database/postgres-dialect.ts';
import { registryMigrations } from '#database/registry/migrations.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { SqliteDialect } from '#database/sqlite-dialect.ts';
import { POSTGRES_TABLE_WORDS, SQLITE_TABLE_WORDS } from '#database/table-words.ts';
import { postgresOptions, useRegistryPostgres } from '../../database/registry-databases.ts';

const folder = mkdtempSync(join(tmpdir(), 'slipway-references-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const CHANGED = ['registry-0015-references', 'registry-0016-triggers'];
const digest = (character: string) => `sha256:${character.repeat(64)}`;

/** A repository with two images, which share a layer, and an index of one of them. */
async function fill(db: RegistryDatabase): Promise<void> {
  await sql`insert into repositories (id, name, created_at) values (1, 'a/b', 1)`.execute(db);
  for (const [at, character] of ['1', '2', '3'].entries()) {
    await sql`insert into blobs (digest, size, location, created_at)
      values (${digest(character)}, 10, ${`uploads/${at}`}, 1)`.execute(db);
    await sql`insert into repository_blobs (repository_id, digest, created_at)
      values (1, ${digest(character)}, 1)`.execute(db);
  }
  for (const character of ['a', 'b', 'c']) {
    await sql`insert into manifests (repository_id, digest, media_type, payload, created_at)
      values (1, ${digest(character)}, 'x', ${Buffer.from(character)}, 1)`.execute(db);
  }
  const references = [
    ['b', 'blob', '2'],
    ['a', 'blob', '1'],
    ['b', 'blob', '1'],
    ['a', 'blob', '3'],
    ['c', 'manifest', 'a'],
  ] as const;
  for (const [manifest, kind, named] of references) {
    await sql`insert into manifest_references (repository_id, manifest, kind, digest)
      values (1, ${digest(manifest)}, ${kind}, ${digest(named)})`.execute(db);
  }
  await sql`insert into tags (repository_id, name, manifest, updated_at)
    values (1, 'x', ${digest('c')}, 1)`.execute(db);
  for (const queue of ['gc_link_queue', 'gc_manifest_queue'])
    await sql`delete from ${sql.table(queue)}`.execute(db);
}

async function references(db: RegistryDatabase): Promise<string[]> {
  const rows = await db.selectFrom('manifest_references').selectAll().execute();
  return rows.map(({ manifest, kind, digest: named }) => `${manifest[7]} ${kind} ${named[7]}`).toSorted();
}

async function queued(db: RegistryDatabase, queue: 'gc_link_queue' | 'gc_manifest_queue'): Promise<string[]> {
  const rows = await db.selectFrom(queue).select('digest').execute();
  return rows.map((row) => row.digest[7]!).toSorted();
}

function contract(name: string, dialect: () => Promise<Dialect>, words: typeof SQLITE_TABLE_WORDS): void {
  it(`a ${name} database keeps what manifests refer to, and what follows when they go`, async () => {
    const db: RegistryDatabase = new Kysely({ dialect: await dialect() });
    try {
      const all = registryMigrations(words);
      const before = Object.entries(all).filter(([key]) => !CHANGED.includes(key));
      const journal = 'kysely_migration';
      await migrate(db, { journal, migrations: Object.fromEntries(before) });
      await fill(db);
      expect(await migrate(db, { journal, migrations: all })).toEqual(CHANGED);

      expect(await references(db)).toEqual(['a blob 1', 'a blob 3', 'b blob 1', 'b blob 2', 'c manifest a']);
      const tags = await db.selectFrom('tags').select(['name', 'manifest']).execute();
      expect(tags).toEqual([{ name: 'x', manifest: digest('c') }]);

      await db
        .deleteFrom('manifests')
        .where('digest', 'in', [digest('b'), digest('c')])
        .execute();
      expect(await references(db)).toEqual(['a blob 1', 'a blob 3']);
      expect(await queued(db, 'gc_link_queue')).toEqual(['1', '2']);
      expect(await queued(db, 'gc_manifest_queue')).toEqual(['a']);
      await expect(
        sql`insert into manifest_references (repository_id, manifest, kind, digest)
          values (1, ${digest('f')}, 'blob', ${digest('1')})`.execute(db),
      ).rejects.toThrow();

      await db.deleteFrom('repository_blobs').where('digest', '=', digest('2')).execute();
      const { rows } = await sql<{ digest: string }>`select digest from gc_blob_queue`.execute(db);
      expect(rows.map((row) => row.digest)).toEqual([digest('2')]);
      const { rows: usage } = await sql<{ used: number }>`
        select cast(sum(bytes) as bigint) as used from namespace_usage where namespace = 'a'`.execute(db);
      expect(Number(usage[0]!.used)).toBe(30);
    } finally {
      await db.destroy();
    }
  });
}

contract(
  'sqlite',
  async () => new SqliteDialect({ file: join(folder, 'registry.db'), synchronous: 'full' }),
  SQLITE_TABLE_WORDS,
);

describe('on a server', () => {
  const postgres = useRegistryPostgres();
  contract(
    'postgres',
    async () => new PostgresDialect(postgresOptions(await postgres.server().createDatabase())),
    POSTGRES_TABLE_WORDS,
  );
});
