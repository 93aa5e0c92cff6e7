import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { errorCode, pushImage, putManifest } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

it.each([
  ['GET', '/v2/'],
  ['GET', '/v2'],
  ['HEAD', '/v2/'],
])('answers the version check, %s %s', async (method, path) => {
  const answer = await registry.client.send(method, path);
  expect(answer.status).toBe(200);
  expect(answer.headers['docker-distribution-api-version']).toBe('registry/2.0');
});

it('serves a manifest by tag and by digest, byte for byte', async () => {
  const image = await pushImage(registry.client, 'pull/exact', 'v1', {
    annotations: { 'odd  spacing': 'é' },
  });
  for (const reference of ['v1', image.digest, encodeURIComponent(image.digest)]) {
    const answer = await registry.client.send('GET', `/v2/pull/exact/manifests/${reference}`);
    expect(answer.status).toBe(200);
    expect(answer.body.toString()).toBe(image.payload);
    expect(answer.headers).toMatchObject({
      'content-type': MEDIA_TYPE.ociManifest,
      'docker-content-digest': image.digest,
      'content-length': String(Buffer.byteLength(image.payload)),
    });
  }
});

it('answers HEAD with the headers of GET and no body', async () => {
  const image = await pushImage(registry.client, 'pull/head', 'v1');
  const answer = await registry.client.send('HEAD', '/v2/pull/head/manifests/v1');
  expect(answer.status).toBe(200);
  expect(answer.body.length).toBe(0);
  expect(answer.headers).toMatchObject({
    'content-length': String(Buffer.byteLength(image.payload)),
    'docker-content-digest': image.digest,
    'content-type': MEDIA_TYPE.ociManifest,
  });
});

it('serves a large manifest, byte for byte', async () => {
  const image = await pushImage(registry.client, 'pull/large', 'v1', {
    annotations: { large: 'ä'.repeat(50_000) },
  });
  const answer = await registry.client.send('GET', '/v2/pull/large/manifests/v1');
  expect([answer.status, answer.body.equals(Buffer.from(image.payload))]).toEqual([200, true]);
});

it('answers a plain GET, which has a way of its own, as any other', async () => {
  const image = await pushImage(registry.client, 'pull/ways', 'v1', { annotations: { a: 'é' } });
  const path = '/v2/pull/ways/manifests/v1';
  const own = { headers: { 'X-Request-Id': 'the-same' } };
  const [plain, other] = [
    await registry.client.send('GET', path, own),
    await registry.client.send('GET', `${path}?n=1`, own),
  ];
  expect(plain.body.toString()).toBe(image.payload);
  expect({ ...plain, headers: { ...plain.headers, date: '' } }).toEqual({
    ...other,
    headers: { ...other.headers, date: '' },
  });
});

it('answers 304 to a client that has it', async () => {
  const { digest } = await pushImage(registry.client, 'pull/cached', 'v1');
  const path = '/v2/pull/cached/manifests/v1';
  const same = await registry.client.send('GET', path, { headers: { 'If-None-Match': `"${digest}"` } });
  expect([same.status, same.body.length]).toEqual([304, 0]);
  const other = { 'If-None-Match': `"${digestOf('other')}"` };
  expect((await registry.client.send('GET', path, { headers: other })).status).toBe(200);
});

it('shows the new manifest at once when a tag moves', async () => {
  await pushImage(registry.client, 'pull/moving', 'v1', { annotations: { number: '1' } });
  const second = await pushImage(registry.client, 'pull/moving', 'v1', { annotations: { number: '2' } });
  const answer = await registry.client.send('GET', '/v2/pull/moving/manifests/v1');
  expect(answer.headers['docker-content-digest']).toBe(second.digest);
});

it.each([
  ['a tag that is not there', 'pull/exact', 'none', 404, 'MANIFEST_UNKNOWN'],
  ['a digest that is not there', 'pull/exact', digestOf('none'), 404, 'MANIFEST_UNKNOWN'],
  ['a repository that is not there', 'pull/none', 'v1', 404, 'MANIFEST_UNKNOWN'],
  ['what cannot be a tag', 'pull/exact', '.INVALID', 404, 'MANIFEST_UNKNOWN'],
  ['a malformed digest', 'pull/exact', 'sha256:zz', 400, 'DIGEST_INVALID'],
  ['an unknown algorithm', 'pull/exact', `md5:${'0'.repeat(32)}`, 400, 'DIGEST_INVALID'],
  ['a malformed name', 'pull/UPPER', 'v1', 400, 'NAME_INVALID'],
])('refuses %s', async (_, name, reference, status, code) => {
  const path = `/v2/${name}/manifests/${reference}`;
  const answer = await registry.client.send('GET', path);
  expect([answer.status, errorCode(answer)]).toEqual([status, code]);
  expect(answer.headers['content-type']).toMatch(/^application\/json/);
  const head = await registry.client.send('HEAD', path);
  expect([head.status, head.body.length]).toEqual([status, 0]);
});

it('does not show one repository the manifests of another', async () => {
  const { digest } = await pushImage(registry.client, 'pull/mine', 'v1');
  expect((await registry.client.send('GET', `/v2/pull/theirs/manifests/${digest}`)).status).toBe(404);
});

it('finds a repository whose name looks like an endpoint', async () => {
  const name = 'manifests/blobs/tags';
  const image = await pushImage(registry.client, name, 'list');
  expect(image.answer.status).toBe(201);
  expect((await registry.client.send('GET', `/v2/${name}/manifests/list`)).status).toBe(200);
});

it('serves an index as what it is', async () => {
  const index = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.dockerManifestList, manifests: [] });
  await putManifest(registry.client, 'pull/index', 'all', index, MEDIA_TYPE.dockerManifestList);
  const headers = { Accept: MEDIA_TYPE.dockerManifest };
  const answer = await registry.client.send('GET', '/v2/pull/index/manifests/all', { headers });
  expect(answer.headers['content-type']).toBe(MEDIA_TYPE.dockerManifestList);
});
