import { expect, it } from 'vitest';
import { type Access, OPEN_ACCESS } from '#auth/access.ts';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { parseManifestDocument } from '#registry/manifests/manifest-document.ts';
import { ManifestsRepository } from '#registry/manifests/manifests-repository.ts';
import {
  ensureRepository,
  findRepository,
  RepositoriesRepository,
} from '#registry/repositories/repositories-repository.ts';
import { onEachDatabase, type TestDatabase } from '../../database/registry-databases.ts';

const named = (name: string) => name as RepositoryName;

onEachDatabase('repositories', (create) => {
  async function push(database: TestDatabase, ...names: string[]): Promise<void> {
    const payload = Buffer.from('{"schemaVersion":2,"manifests":[]}');
    const document = parseManifestDocument(payload, MEDIA_TYPE.ociIndex);
    const manifests = new ManifestsRepository(database.db);
    for (const name of names) {
      const manifest = { repository: named(name), digest: digestOf(payload), payload, document };
      await manifests.put({ ...manifest, tags: ['latest' as Tag] }, SYSTEM);
    }
  }

  it('come into being once, and keep their id', async () => {
    await using database = await create();
    const { db } = database;
    expect(await findRepository(db, named('a/b'))).toBeUndefined();
    const id = await ensureRepository(db, named('a/b'), Date.now());
    expect(await ensureRepository(db, named('a/b'), Date.now())).toBe(id);
    expect(await findRepository(db, named('a/b'))).toBe(id);
    expect(await new RepositoriesRepository(db).exists(named('a/b'))).toBe(true);
  });

  it('are listed in the order of their code points, from page to page, when they have a manifest', async () => {
    await using database = await create();
    await push(database, 'b', 'a/z', 'a-b', 'a', 'a_b', 'a0');
    await ensureRepository(database.db, named('empty'), Date.now());
    const repositories = new RepositoriesRepository(database.db);
    const all = ['a', 'a-b', 'a/z', 'a0', 'a_b', 'b'];
    expect(await repositories.list({ limit: 10, access: OPEN_ACCESS })).toEqual(all);
    expect(await repositories.list({ limit: 2, access: OPEN_ACCESS })).toEqual(all.slice(0, 2));
    expect(await repositories.list({ limit: 3, last: 'a-b', access: OPEN_ACCESS })).toEqual(all.slice(2, 5));
    expect(await repositories.list({ limit: 3, last: 'b', access: OPEN_ACCESS })).toEqual([]);
  });

  it('are listed for those who may see them, in full pages', async () => {
    await using database = await create();
    const names = Array.from({ length: 12 }, (_, number) => `team-${number % 3}/app-${10 + number}`);
    await push(database, ...names);
    const mine = (name: string) => name.startsWith('team-1/');
    const access: Access = { ...OPEN_ACCESS, allows: mine, sees: mine };
    const listed = await new RepositoriesRepository(database.db).list({ limit: 3, access });
    expect(listed).toEqual(names.filter(mine).toSorted().slice(0, 3));
  });
});
