import { expect, it } from 'vitest';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import { BlobsRepository } from '#registry/blobs/blobs-repository.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { parseManifestDocument } from '#registry/manifests/manifest-document.ts';
import { ManifestsRepository } from '#registry/manifests/manifests-repository.ts';
import { TagsRepository } from '#registry/tags/tags-repository.ts';
import { onEachDatabase, type TestDatabase } from '../../database/registry-databases.ts';

const name = 'team/app' as RepositoryName;
const ROUNDS = 12;

onEachDatabase('writes at the same time', (create, dialect) => {
  /** As many processes; on SQLite one, as two in a thread would wait for each other. */
  async function processes(database: TestDatabase, count: number) {
    return await Promise.all(
      Array.from({ length: count }, async () =>
        dialect === 'sqlite' ? database.db : await database.another(),
      ),
    );
  }

  const publish = (blobs: BlobsRepository, text: string, location: string, repository = name) =>
    blobs.publish({ repository, digest: digestOf(text), size: text.length, location }, SYSTEM);

  function image(...layers: string[]) {
    const descriptor = (text: string, mediaType: string) => ({
      mediaType,
      digest: digestOf(text),
      size: text.length,
    });
    const payload = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        config: descriptor(layers[0]!, MEDIA_TYPE.ociConfig),
        layers: layers.map((text) => descriptor(text, MEDIA_TYPE.ociLayer)),
      }),
    );
    const document = parseManifestDocument(payload, MEDIA_TYPE.ociManifest);
    return { repository: name, digest: digestOf(payload), payload, document };
  }

  it('of one blob into a new repository make one of each, and give back the rest', async () => {
    await using database = await create();
    const blobs = (await processes(database, 3)).map((db) => new BlobsRepository(db));
    for (let round = 0; round < ROUNDS; round++) {
      const repository = `team/new-${round}` as RepositoryName;
      const text = `blob ${round}`;
      const surplus = await Promise.all(
        Array.from({ length: 6 }, (_, number) =>
          publish(blobs[number % 3]!, text, `uploads/${round}/${number}`, repository),
        ),
      );
      const stored = await blobs[0]!.find(repository, digestOf(text));
      const locations = Array.from({ length: 6 }, (_, number) => `uploads/${round}/${number}`);
      expect(locations).toContain(stored!.location);
      expect(surplus.filter((it) => it !== undefined).toSorted()).toEqual(
        locations.filter((it) => it !== stored!.location),
      );
    }
    const { repositories } = await database.db
      .selectFrom('repositories')
      .select((eb) => eb.fn.countAll<number>().as('repositories'))
      .executeTakeFirstOrThrow();
    expect(repositories).toBe(ROUNDS);
  });

  it('of manifests under the same tags all succeed, whatever the order of the tags', async () => {
    await using database = await create();
    const all = await processes(database, 4);
    await publish(new BlobsRepository(database.db), 'layer', 'uploads/layer');
    for (let round = 0; round < ROUNDS; round++) {
      const pushed: Digest[] = [];
      await Promise.all(
        all.map(async (db, number) => {
          const own = `own ${round} ${number}`;
          await publish(new BlobsRepository(db), own, `uploads/${round}-${number}`);
          const manifest = image(own, 'layer');
          const tags = (number % 2 ? ['a', 'b', 'c', 'd'] : ['d', 'c', 'b', 'a']) as Tag[];
          await new ManifestsRepository(db).put({ ...manifest, tags }, SYSTEM);
          pushed.push(manifest.digest);
        }),
      );
      const manifests = new ManifestsRepository(database.db);
      const named = await Promise.all(
        (['a', 'b', 'c', 'd'] as Tag[]).map((tag) => manifests.findByTag(name, tag)),
      );
      // A push is one step: all its tags, or none.
      expect(new Set(named.map((it) => it?.digest)).size).toBe(1);
      expect(pushed).toContain(named[0]!.digest);
    }
    const { pushes } = await database.db
      .selectFrom('events')
      .select((eb) => eb.fn.countAll<number>().as('pushes'))
      .where('action', '=', 'manifest.push')
      .executeTakeFirstOrThrow();
    expect(pushes).toBe(ROUNDS * 4 * 4);
  });

  it('and deletes of one manifest leave all of it or nothing', async () => {
    await using database = await create();
    const [one, two, three] = (await processes(database, 3)) as [
      TestDatabase['db'],
      TestDatabase['db'],
      TestDatabase['db'],
    ];
    await publish(new BlobsRepository(database.db), 'layer', 'uploads/layer');
    const manifest = image('layer', 'layer');
    const tags = ['x', 'y'] as Tag[];
    let deletions = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const [, , deleted] = await Promise.all([
        new ManifestsRepository(one).put({ ...manifest, tags }, SYSTEM),
        new ManifestsRepository(two).put({ ...manifest, tags: tags.toReversed() }, SYSTEM),
        new ManifestsRepository(three).delete(name, manifest.digest, SYSTEM),
        new TagsRepository(three).delete(name, 'x' as Tag, SYSTEM),
      ]);
      if (deleted) deletions++;
      const manifests = new ManifestsRepository(database.db);
      const stored = await manifests.findByDigest(name, manifest.digest);
      const listed = await new TagsRepository(database.db).list(name, 10);
      if (!stored) expect(listed).toEqual([]);
      else expect(listed).toContain('y');
      const references = await database.db.selectFrom('manifest_references').selectAll().execute();
      expect(references).toHaveLength(stored ? 1 : 0);
    }
    const { recorded } = await database.db
      .selectFrom('events')
      .select((eb) => eb.fn.countAll<number>().as('recorded'))
      .where('action', '=', 'manifest.delete')
      .executeTakeFirstOrThrow();
    expect(recorded).toBe(deletions);
  });

  it('of a manifest and the removal of its blob: whoever comes first wins', async () => {
    await using database = await create();
    const [one, two] = (await processes(database, 2)) as [TestDatabase['db'], TestDatabase['db']];
    for (let round = 0; round < ROUNDS; round++) {
      const text = `layer ${round}`;
      await publish(new BlobsRepository(one), text, `uploads/layer-${round}`);
      const manifest = image(text);
      const [put, unlinked] = await Promise.allSettled([
        new ManifestsRepository(one).put({ ...manifest, tags: [] }, SYSTEM),
        new BlobsRepository(two).unlink(name, digestOf(text), SYSTEM),
      ]);
      expect(unlinked).toEqual({ status: 'fulfilled', value: true });
      if (put.status === 'rejected') expect(put.reason).toMatchObject({ code: 'MANIFEST_BLOB_UNKNOWN' });
      const order = await database.db
        .selectFrom('events')
        .select('action')
        .where('digest', 'in', [manifest.digest, digestOf(text)])
        .where('action', 'in', ['manifest.push', 'blob.delete'])
        .orderBy('id')
        .execute();
      const actions = order.map(({ action }) => action);
      expect(actions).toEqual(put.status === 'rejected' ? ['blob.delete'] : ['manifest.push', 'blob.delete']);
    }
  });

  it('that mount a blob while it is taken out of where it was', async () => {
    await using database = await create();
    const [one, two] = (await processes(database, 2)) as [TestDatabase['db'], TestDatabase['db']];
    const [from, digest] = ['team/from' as RepositoryName, digestOf('mounted')];
    for (let round = 0; round < ROUNDS; round++) {
      await publish(new BlobsRepository(one), 'mounted', 'uploads/mounted', from);
      const repository = `team/to-${round}` as RepositoryName;
      const [mounted, unlinked] = await Promise.all([
        new BlobsRepository(one).mount({ repository, digest, from }, SYSTEM),
        new BlobsRepository(two).unlink(from, digest, SYSTEM),
      ]);
      expect(unlinked).toBe(true);
      expect((await new BlobsRepository(two).find(repository, digest)) !== undefined).toBe(mounted);
    }
  });
});
