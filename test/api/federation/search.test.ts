import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { OPEN_ACCESS } from '#auth/access.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { describe, json, pushBlob, pushImage, putManifest } from '#test/registry/distribution-client.ts';
import { inBackground } from '#test/registry/test-federation.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

let registry: TestRegistry;
let background: AsyncDisposable;

beforeAll(async () => {
  registry = await startTestRegistry();
  background = inBackground((signal) => registry.federation.indexing.run(signal));
  const { client } = registry;
  await pushImage(client, 'shop/frontend', 'v1', {
    annotations: {
      'org.opencontainers.image.title': 'The old shop',
      'org.opencontainers.image.description': 'Sells Ships',
    },
  });
  await pushImage(client, 'shop/backend', 'Release-7');
  await pushLabelled('tools/lint', 'v2', {
    'org.opencontainers.image.revision': 'C0FFEE',
    maintainer: 'Ada',
  });
  await pushImage(client, 'shop/frontend', 'v2', {
    annotations: { 'org.opencontainers.image.title': 'The new shop' },
  });
  while ((await names('new')).length === 0) await sleep(20);
});
afterAll(async () => {
  await background[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

async function pushLabelled(repository: string, tag: string, labels: Record<string, string>): Promise<void> {
  const config = JSON.stringify({ config: { Labels: labels } });
  await pushBlob(registry.client, repository, config);
  const payload = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: describe(config, MEDIA_TYPE.ociConfig),
    layers: [],
  });
  await putManifest(registry.client, repository, tag, payload);
}

interface Page {
  items: {
    repository: string;
    title: string | null;
    description: string | null;
    tags: string[];
    pulls: number;
  }[];
  next?: string;
}
const search = async (q: string, more = ''): Promise<Page> =>
  json(await registry.client.send('GET', `/api/v1/search?q=${encodeURIComponent(q)}${more}`)) as Page;
const names = async (q: string) => (await search(q)).items.map(({ repository }) => repository);

it.each([
  ['shop', ['shop/backend', 'shop/frontend']],
  ['SHIPS', ['shop/frontend']],
  ['front ships', ['shop/frontend']],
  ['front release', []],
  ['release', ['shop/backend']],
  ['c0ffee', ['tools/lint']],
  ['maintainer=ada', ['tools/lint']],
  ['%', []],
  ['l_nt', []],
  ["'; drop table tags; --", []],
])('finds %s', async (q, expected) => {
  expect(await names(q)).toEqual(expected);
});

it('shows what the newest says, and the tags that match', async () => {
  expect((await search('shop/frontend v1')).items).toEqual([
    { repository: 'shop/frontend', title: 'The new shop', description: null, tags: ['v1'], pulls: 0 },
  ]);
});

it('is read in pages', async () => {
  const first = await search('shop', '&limit=1');
  expect(first.items.map(({ repository }) => repository)).toEqual(['shop/backend']);
  const second = await search('shop', `&limit=1&cursor=${first.next}`);
  expect(second.items.map(({ repository }) => repository)).toEqual(['shop/frontend']);
  expect(second.next).toBeUndefined();
});

it('finds only what the caller may see', async () => {
  const access = { ...OPEN_ACCESS, sees: (name: string) => name.startsWith('tools/') };
  const found = await registry.federation.search.find('o', { limit: 10, access });
  expect(found.map(({ repository }) => repository)).toEqual(['tools/lint']);
});

it('does not find what was deleted', async () => {
  const { digest } = await pushImage(registry.client, 'shop/gone', 'v1', {
    annotations: { word: 'ephemeral' },
  });
  while ((await names('ephemeral')).length === 0) await sleep(20);
  await registry.client.send('DELETE', `/v2/shop/gone/manifests/${digest}`);
  expect(await names('ephemeral')).toEqual([]);
});

it('answers docker search', async () => {
  const ping = await registry.client.send('GET', '/v1/_ping');
  expect([ping.status, ping.headers['x-docker-registry-standalone']]).toEqual([200, 'true']);
  expect(json(await registry.client.send('GET', '/v1/search?q=ships&n=5'))).toEqual({
    query: 'ships',
    num_results: 1,
    num_pages: 1,
    page: 1,
    page_size: 5,
    results: [
      {
        name: 'shop/frontend',
        description: 'The new shop',
        star_count: 0,
        is_official: false,
        is_automated: false,
      },
    ],
  });
  expect(json(await registry.client.send('GET', '/v1/search'))).toMatchObject({ results: [] });
});

it.each(['?q=', '', `?q=${'x'.repeat(201)}`])('refuses %s', async (query) => {
  expect((await registry.client.send('GET', `/api/v1/search${query}`)).status).toBe(400);
});
