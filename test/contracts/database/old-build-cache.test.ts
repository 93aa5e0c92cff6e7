import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kysely, sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate } from '#database/migrate.ts';
import { SqliteDialect } from '#database/sqlite-dialect.ts';
import { buildMigrations } from '#database/worker/build-migrations.ts';
import { imageMigrations } from '#database/worker/images-migrations.ts';
import { openWorkerDatabase } from '#database/worker/open.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-old-worker-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const before = (migrations: typeof buildMigrations, name: string) =>
  Object.fromEntries(Object.entries(migrations).filter(([one]) => one < name));

it('lets go of what classic builds kept before there was one build cache', async () => {
  const file = join(folder, 'worker.db');
  const old = new Kysely<unknown>({ dialect: new SqliteDialect({ file, synchronous: 'normal' }) });
  await migrate(old, {
    journal: 'kysely_migration',
    migrations: { ...before(buildMigrations, 'build-0006'), ...before(imageMigrations, 'images-0004') },
  });
  for (const statement of [
    `insert into layers (chain_id, diff_id, bytes, tar_bytes) values ('c', 'd', 1, 2)`,
    `insert into images (id, config, created_at) values ('i', x'7b7d', '2026')`,
    `insert into build_cache values ('r', 'exec', 'RUN x', '["d"]', 'c', 1, '2026', '2026', 0)`,
    `insert into build_cache_keys values ('k', 'r')`,
    `insert into layer_users values ('c', 'build-cache:r'), ('c', 'build-record:s')`,
    `insert into image_users values ('i', 'build:b'), ('i', 'container:x')`,
  ])
    await sql.raw(statement).execute(old);
  await old.destroy();

  const database = await openWorkerDatabase(file);
  const users = await sql<{ user: string }>`
    select user from layer_users union select user from image_users`.execute(database);
  expect(users.rows.map(({ user }) => user).sort()).toEqual(['build-record:s', 'container:x']);
  const tables = await database.introspection.getTables();
  expect(tables.map(({ name }) => name)).not.toContain('build_cache');
  await database.destroy();
});
