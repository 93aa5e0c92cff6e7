import { pino } from 'pino';
import { expect, it } from 'vitest';
import { OPEN_ACCESS } from '#auth/access.ts';
import type { NamespacePattern } from '#auth/policies/pattern.ts';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { RepositoryName, Tag } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { createFederation } from '#registry/federation.ts';
import { MirrorRepository } from '#registry/mirror/mirror-repository.ts';
import { createRegistry } from '#registry/registry.ts';
import { manifestText } from '#registry/search/manifest-text.ts';
import { SearchRepository } from '#registry/search/search-repository.ts';
import { WEBHOOK_FORMATS, type Webhook } from '#registry/webhooks/webhook.ts';
import { WebhooksRepository } from '#registry/webhooks/webhooks-repository.ts';
import { testFederation } from '#test/registry/test-federation.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';

const [name, tag] = ['hub/some/image' as RepositoryName, 'v1' as Tag];

/** Stores a manifest, without its blobs; returns its digest. */
async function put(db: RegistryDatabase, repository: RepositoryName, tags: Tag[], salt = '') {
  const { manifests } = createRegistry({ db, content: new MemoryContentStore() }, { sparseImages: true });
  const payload = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociManifest,
      config: { mediaType: MEDIA_TYPE.ociConfig, digest: digestOf(`config${salt}`), size: 6 + salt.length },
      layers: [],
    }),
  );
  const digest = digestOf(payload);
  await manifests.put(repository, { digest }, { payload, tags, actor: SYSTEM });
  return digest;
}

onEachDatabase('what is known of other registries', (create) => {
  it('tells tags from upstream from those that were pushed here', async () => {
    await using database = await create();
    const { db } = database;
    const mirrored = new MirrorRepository(db);
    expect(await mirrored.tag(name, tag)).toBeUndefined();
    const digest = await put(db, name, [tag]);
    expect(await mirrored.tag(name, tag)).toEqual({ manifest: digest, fetched: false, checkedAt: 0 });
    for (let i = 0; i < 2; i++) await mirrored.addManifest(name, digest);
    expect(await mirrored.tag(name, tag)).toEqual({ manifest: digest, fetched: true, checkedAt: 0 });
    const now = Date.now();
    for (let i = 0; i < 2; i++) await mirrored.confirmTag(name, tag, digest);
    expect((await mirrored.tag(name, tag))!.checkedAt).toBeGreaterThanOrEqual(now);
    const other = await put(db, name, [tag], 'other');
    expect(await mirrored.tag(name, tag)).toEqual({ manifest: other, fetched: false, checkedAt: 0 });
    // A tag that is another one's by now is not confirmed.
    await mirrored.confirmTag(name, tag, digest);
    expect((await mirrored.tag(name, tag))!.checkedAt).toBe(0);
    expect([
      await mirrored.namesBlob(name, digestOf('config')),
      await mirrored.namesBlob(name, digestOf('none')),
    ]).toEqual([true, false]);
  });

  it('finds what nobody pulled since', async () => {
    await using database = await create();
    const { db } = database;
    const mirrored = new MirrorRepository(db);
    const [used, unused] = [await put(db, name, [tag]), await put(db, name, [], 'unused')];
    for (const digest of [used, unused]) await mirrored.addManifest(name, digest);
    const ours = await put(db, name, [], 'pushed here');
    const registry = createRegistry({ db, content: new MemoryContentStore() });
    const logger = pino({ level: 'silent' });
    const { statistics } = createFederation({ db, registry, logger }, testFederation());
    statistics.pulled({ repository: name, digest: used, tag, lookup: false, client: '' });
    await statistics.flush();
    expect(await mirrored.unused(new Date(Date.now() - 60_000), 10)).toEqual([]);
    await db.updateTable('mirrored_manifests').set({ fetched_at: 1 }).execute();
    const found = await mirrored.unused(new Date(Date.now() - 60_000), 10);
    expect(found).toEqual([{ repository: name, digest: unused }]);
    expect(found.some(({ digest }) => digest === ours)).toBe(false);
  });

  it('finds words in names, tags and texts', async () => {
    await using database = await create();
    const { db } = database;
    const search = new SearchRepository(db);
    const digest = await put(db, name, ['Release-1' as Tag]);
    await put(db, 'team/other' as RepositoryName, [tag]);
    const text = manifestText({ 'org.opencontainers.image.title': 'Some IMAGE', note: '50%_off\0' }, {})!;
    for (let i = 0; i < 2; i++) await search.put(name, digest, text);
    await search.put(name, digestOf('gone'), text);
    const find = async (query: string) =>
      (await search.find(query, { limit: 10, access: OPEN_ACCESS })).map(({ repository }) => repository);
    expect(await find('other')).toEqual(['team/other']);
    for (const query of ['some', 'release', 'IMAGE hub', '50%_off', 'note=50']) {
      expect([query, await find(query)]).toEqual([query, [name]]);
    }
    for (const query of ['', '  ', 'some absent', '%_%', "\\'"]) expect(await find(query)).toEqual([]);
    const [found] = await search.find('some', { limit: 10, access: OPEN_ACCESS });
    expect(found).toMatchObject({ title: 'Some IMAGE', description: null, tags: ['Release-1'], pulls: 0 });
  });

  it('keeps webhooks', async () => {
    await using database = await create();
    const webhooks = new WebhooksRepository(database.db);
    const webhook: Webhook = {
      id: 'a',
      url: 'http://example.com/',
      description: 'x',
      format: WEBHOOK_FORMATS[0],
      secret: 'whsec_x',
      previous: undefined,
      repositories: ['team/**' as NamespacePattern],
      actions: ['*'],
      enabled: true,
      createdAt: 1,
      updatedAt: 1,
    };
    await webhooks.add(webhook, SYSTEM);
    expect(await webhooks.find('a')).toEqual(webhook);
    expect(await webhooks.list({ limit: 5 })).toEqual([webhook]);
    expect(await webhooks.list({ limit: 5, last: 'a' })).toEqual([]);
    await webhooks.setSecret('a', 'whsec_y', { secret: 'whsec_x', until: 5 }, SYSTEM);
    expect(await webhooks.find('a')).toMatchObject({
      secret: 'whsec_y',
      previous: { secret: 'whsec_x', until: 5 },
    });
    expect(await webhooks.change('a', { ...webhook, url: 'http://example.org/' }, SYSTEM)).toBe(true);
    expect((await webhooks.enabled()).map(({ url }) => url)).toEqual(['http://example.org/']);
    await webhooks.disable('a', SYSTEM);
    expect(await webhooks.enabled()).toEqual([]);
    expect([
      await webhooks.remove('a', SYSTEM),
      await webhooks.remove('a', SYSTEM),
      await webhooks.disable('a', SYSTEM),
    ]).toEqual([true, false, false]);
  });
});
