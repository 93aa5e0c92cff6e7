import { expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { parseManifestDocument } from '#registry/manifests/manifest-document.ts';
import { ManifestsRepository } from '#registry/manifests/manifests-repository.ts';
import { TagsRepository } from '#registry/tags/tags-repository.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';

const name = 'some/image' as RepositoryName;
const payload = Buffer.from('{"schemaVersion":2,"manifests":[]}');
const digest = digestOf(payload);

onEachDatabase('tags', (create) => {
  const put = (manifests: ManifestsRepository, ...tags: string[]) =>
    manifests.put(
      {
        repository: name,
        digest,
        payload,
        document: parseManifestDocument(payload, MEDIA_TYPE.ociIndex),
        tags: tags as Tag[],
      },
      SYSTEM,
    );

  it('lists them in the order of their code points, page by page', async () => {
    await using database = await create();
    const tags = new TagsRepository(database.db);
    expect(await tags.list(name, 10)).toBeUndefined();
    await put(new ManifestsRepository(database.db), 'b', 'A', '_', '10', '9', 'a');
    expect(await tags.list(name, 10)).toEqual(['10', '9', 'A', '_', 'a', 'b']);
    expect(await tags.list(name, 2, '9')).toEqual(['A', '_']);
  });
});
