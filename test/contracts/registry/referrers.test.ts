import { expect, it } from 'vitest';
import { type Digest, digestOf } from '#oci/digest.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { ManifestsRepository } from '#registry/manifests/manifests-repository.ts';
import { ReferrersRepository } from '#registry/referrers/referrers-repository.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';

const repository = 'some/image' as RepositoryName;
const subject = digestOf('the subject');
const plenty = { entries: 100, bytes: 1_000_000 };

onEachDatabase('referrers', (create) => {
  async function put(manifests: ManifestsRepository, text: string, about: object): Promise<Digest> {
    const payload = Buffer.from(text);
    const digest = digestOf(payload);
    const document = { mediaType: 'a/b', blobs: [], foreignBlobs: [], manifests: [], ...about } as never;
    await manifests.put({ repository, digest, payload, document, tags: [] as Tag[] }, SYSTEM);
    return digest;
  }

  it('lists them by digest, page by page, by number and by bytes', async () => {
    await using database = await create();
    const manifests = new ManifestsRepository(database.db);
    const referrers = new ReferrersRepository(database.db);
    const pushed: Digest[] = [];
    for (let index = 0; index < 5; index++) {
      // Two bytes a letter in UTF-8: it is bytes that are counted.
      const annotations = { text: 'é'.repeat(1000) };
      pushed.push(await put(manifests, `referrer ${index}`, { subject, artifactType: 'x/y', annotations }));
    }
    pushed.sort();
    const page = async (query: { last?: string; artifactType?: string }, limit: typeof plenty) => {
      const { descriptors, more } = await referrers.page(repository, subject, query, limit);
      return [descriptors.map(({ digest }) => digest), more];
    };
    expect(await page({}, plenty)).toEqual([pushed, false]);
    expect(await page({ artifactType: 'x/y' }, { ...plenty, entries: 2 })).toEqual([
      pushed.slice(0, 2),
      true,
    ]);
    expect(await page({ last: pushed[1]! }, { ...plenty, bytes: 5000 })).toEqual([pushed.slice(2, 4), true]);
    expect(await page({ last: pushed[3]! }, { ...plenty, bytes: 1 })).toEqual([pushed.slice(4), false]);
    expect(await page({ artifactType: 'x/z' }, plenty)).toEqual([[], false]);
  });

  it('tells the manifests that name no subject', async () => {
    await using database = await create();
    const manifests = new ManifestsRepository(database.db);
    const bound = await put(manifests, 'bound', { subject });
    const free = await put(manifests, 'free', {});
    const found = await new ReferrersRepository(database.db).withoutSubject(repository, [
      bound,
      free,
      digestOf('absent'),
    ]);
    expect(found).toEqual(new Set([free]));
  });
});
