import { sql } from 'kysely';
import { expect, it } from 'vitest';
import {
  openRegistryDatabase,
  type RegistryDatabase,
  type RegistryDatabaseOptions,
} from '#database/registry/open.ts';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { parseRepositoryName, parseTag } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { parseManifestDocument } from '#registry/manifests/manifest-document.ts';
import { ManifestsRepository } from '#registry/manifests/manifests-repository.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';

const repository = parseRepositoryName('many/tags');

/** A manifest with so many tags. */
async function withTags(db: RegistryDatabase, count: number) {
  const payload = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [], count }));
  const document = parseManifestDocument(payload, MEDIA_TYPE.ociIndex);
  const digest = digestOf(payload);
  const manifests = new ManifestsRepository(db);
  await manifests.put({ repository, digest, payload, document, tags: [parseTag('v0')] }, SYSTEM);
  const { id } = await db.selectFrom('repositories').select('id').executeTakeFirstOrThrow();
  const tag = { repository_id: id, manifest: digest, updated_at: 1 };
  const rows = Array.from({ length: count - 1 }, (_, index) => ({ ...tag, name: `v${index + 1}` }));
  if (rows.length > 0) await db.insertInto('tags').values(rows).execute();
  return { digest, id };
}

/** The SQL that a task sends. */
async function statementsOf(
  options: RegistryDatabaseOptions,
  task: (db: RegistryDatabase) => Promise<unknown>,
): Promise<string[]> {
  const sent: string[] = [];
  const db = await openRegistryDatabase(options, {
    migrate: false,
    log: ({ query }) => void sent.push(query.sql),
  });
  try {
    sent.length = 0;
    await task(db);
    return sent;
  } finally {
    await db.destroy();
  }
}

onEachDatabase('deleting a manifest', (create, dialect) => {
  it('takes as many statements with a thousand tags as with one', async () => {
    await using database = await create();
    const { db } = database;
    const counts: number[] = [];
    for (const count of [1, 1000]) {
      const { digest } = await withTags(db, count);
      const sent = await statementsOf(database.options, (watched) =>
        new ManifestsRepository(watched).delete(repository, digest, SYSTEM),
      );
      expect(sent.filter((text) => /^delete/i.test(text))).toHaveLength(1);
      counts.push(sent.length);
      expect(await db.selectFrom('tags').select('name').execute()).toEqual([]);
    }
    expect(counts[1]).toBe(counts[0]);
  });

  it('finds its tags by their index', async () => {
    await using database = await create();
    const { db } = database;
    const { id, digest } = await withTags(db, 1000);
    // What the foreign key's cascade runs.
    const cascade = sql`delete from tags where repository_id = ${id} and manifest = ${digest}`;
    if (dialect === 'postgres') await sql`analyze tags`.execute(db);
    const explain = dialect === 'sqlite' ? sql`explain query plan ${cascade}` : sql`explain ${cascade}`;
    if (dialect === 'postgres') await sql`set enable_seqscan = off`.execute(db);
    const { rows } = await explain.execute(db);
    expect(JSON.stringify(rows)).toMatch(/tags_by_manifest/);
  });
});
