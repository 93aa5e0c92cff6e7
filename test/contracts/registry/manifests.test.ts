import { expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import { BlobsRepository } from '#registry/blobs/blobs-repository.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { parseManifestDocument } from '#registry/manifests/manifest-document.ts';
import { ManifestsRepository } from '#registry/manifests/manifests-repository.ts';
import { TagsRepository } from '#registry/tags/tags-repository.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';

const name = 'team/app' as RepositoryName;
const tags = (...names: string[]) => names as Tag[];

function manifestOf(payload: Buffer, ...own: string[]) {
  const document = parseManifestDocument(payload, undefined);
  return { repository: name, digest: digestOf(payload), payload, document, tags: tags(...own) };
}

function index(note: string, ...own: string[]) {
  const document = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [], annotations: { note } };
  return manifestOf(Buffer.from(JSON.stringify(document)), ...own);
}

function image(layers: readonly string[], ...own: string[]) {
  const descriptor = (text: string) => ({
    mediaType: MEDIA_TYPE.ociLayer,
    digest: digestOf(text),
    size: text.length,
  });
  const [config] = layers;
  const document = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: { ...descriptor(config!), mediaType: MEDIA_TYPE.ociConfig },
    layers: layers.map(descriptor),
  };
  return manifestOf(Buffer.from(JSON.stringify(document)), ...own);
}

onEachDatabase('manifests', (create) => {
  it('are kept byte for byte, and found by digest and by tag', async () => {
    await using database = await create();
    const manifests = new ManifestsRepository(database.db);
    const { payload, digest, ...rest } = index('\u00e9\u4e16\u{1f40b}', 'a', 'b');
    await manifests.put({ payload, digest, ...rest }, SYSTEM);
    for (const found of [
      await manifests.findByDigest(name, digest),
      await manifests.findByTag(name, 'a' as Tag),
      await manifests.findByTag(name, 'b' as Tag),
    ]) {
      expect(found).toMatchObject({ digest, mediaType: MEDIA_TYPE.ociIndex });
      expect(Buffer.from(found!.payload).equals(payload)).toBe(true);
    }
    expect(await manifests.findByTag(name, 'c' as Tag)).toBeUndefined();
    expect(await manifests.findByDigest('team/other' as RepositoryName, digest)).toBeUndefined();
  });

  it('of which a blob is missing are not stored, nor their tags', async () => {
    await using database = await create();
    const manifests = new ManifestsRepository(database.db);
    const blobs = new BlobsRepository(database.db);
    const layers = Array.from({ length: 40 }, (_, number) => `layer ${number}`);
    for (const layer of layers.slice(1)) {
      const blob = {
        repository: name,
        digest: digestOf(layer),
        size: layer.length,
        location: `uploads/${layer}`,
      };
      await blobs.publish(blob, SYSTEM);
    }
    const pushed = image(layers, 'a');
    await expect(manifests.put(pushed, SYSTEM)).rejects.toMatchObject({
      kind: 'not-found',
      code: 'MANIFEST_BLOB_UNKNOWN',
      detail: { digest: digestOf(layers[0]!), missing: 1 },
    });
    expect(await manifests.findByDigest(name, pushed.digest)).toBeUndefined();
    expect(await manifests.findByTag(name, 'a' as Tag)).toBeUndefined();
    const last = { repository: name, digest: digestOf(layers[0]!), size: 7, location: 'uploads/last' };
    await blobs.publish(last, SYSTEM);
    await manifests.put(pushed, SYSTEM);
    const references = await database.db.selectFrom('manifest_references').selectAll().execute();
    expect(references).toHaveLength(layers.length);
  });

  it('take their tags along, and only theirs', async () => {
    await using database = await create();
    const manifests = new ManifestsRepository(database.db);
    const [one, two] = [index('one', 'a', 'b', 'c'), index('two', 'c', 'd')];
    await manifests.put(one, SYSTEM);
    await manifests.put(two, SYSTEM);
    expect((await manifests.findByTag(name, 'c' as Tag))?.digest).toBe(two.digest);
    expect(await manifests.delete(name, one.digest, SYSTEM)).toBe(true);
    expect(await manifests.delete(name, one.digest, SYSTEM)).toBe(false);
    expect(await new TagsRepository(database.db).list(name, 10)).toEqual(['c', 'd']);
    const events = await database.db.selectFrom('events').select(['action', 'tag']).orderBy('id').execute();
    expect(events.map(({ action, tag }) => [action, tag])).toEqual([
      ...['a', 'b', 'c', 'c', 'd'].map((tag) => ['manifest.push', tag]),
      ['manifest.delete', null],
    ]);
  });
});
