import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kysely, sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate } from '#database/migrate.ts';
import { SqliteDialect } from '#database/sqlite-dialect.ts';
import { imageMigrations } from '#database/worker/images-migrations.ts';
import { openWorkerDatabase } from '#database/worker/open.ts';
import type { Digest } from '#oci/digest.ts';
import { ImageRepository } from '#worker/images/image-repository.ts';
import { StatementRepository } from '#worker/images/statement-repository.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-old-worker-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('has what was stated of images go with their names', async () => {
  const file = join(folder, 'worker.db');
  const old = new Kysely<unknown>({ dialect: new SqliteDialect({ file, synchronous: 'normal' }) });
  const before = Object.entries(imageMigrations).filter(([one]) => one < 'images-0006');
  await migrate(old, { journal: 'kysely_migration', migrations: Object.fromEntries(before) });
  for (const statement of [
    `insert into images (id, config, created_at) values ('i', x'7b7d', '2026'), ('j', x'7b7d', '2026')`,
    `insert into image_names values ('a', 'i', '2026'), ('b', 'i', '2026'), ('c', 'j', '2026')`,
    `insert into image_statements values ('i', 0, 'blob', 'x', 't', x'00'),
       ('i', 1, 'manifest', 'y', 't', x'01'), ('i', 2, 'index', 'z', 't', x'02')`,
  ])
    await sql.raw(statement).execute(old);
  await old.destroy();

  const database = await openWorkerDatabase(file);
  const names = await new ImageRepository(database).names();
  expect(names.map(({ name, statements }) => [name, statements])).toEqual([
    ['a', 'z'],
    ['b', 'z'],
    ['c', undefined],
  ]);
  const kept = (digest: string, byte: number) => ({
    digest,
    mediaType: 't',
    payload: new Uint8Array([byte]),
  });
  expect(await new StatementRepository(database).of('z' as Digest)).toEqual({
    blobs: [kept('x', 0)],
    manifests: [kept('y', 1)],
    index: kept('z', 2),
  });
  await database.destroy();
});
