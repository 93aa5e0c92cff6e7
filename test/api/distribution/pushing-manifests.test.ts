import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { parseRepositoryName } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import {
  describe,
  errorCode,
  json,
  pushBlob,
  pushImage,
  putManifest,
} from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

const maxManifestSize = 100_000;
let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry({ maxManifestSize });
});
afterAll(() => registry[Symbol.asyncDispose]());

const send: TestRegistry['client']['send'] = (...request) => registry.client.send(...request);
const tags = async (name: string) =>
  (json(await send('GET', `/v2/${name}/tags/list`)) as { tags: string[] }).tags;

it('takes a manifest by tag', async () => {
  const { answer, digest } = await pushImage(registry.client, 'put/tag', 'v1');
  expect(answer.status).toBe(201);
  expect(answer.headers).toMatchObject({
    location: `/v2/put/tag/manifests/${digest}`,
    'docker-content-digest': digest,
  });
  expect(await tags('put/tag')).toEqual(['v1']);
});

it('takes a manifest by digest, of either algorithm', async () => {
  const { answer, payload } = await pushImage(registry.client, 'put/digest', undefined);
  expect(answer.status).toBe(201);
  const sha512 = digestOf(payload, 'sha512');
  expect((await putManifest(registry.client, 'put/digest', sha512, payload)).status).toBe(201);
  expect((await send('GET', `/v2/put/digest/manifests/${sha512}`)).body.toString()).toBe(payload);
  expect(await tags('put/digest')).toEqual([]);
});

it('tags a manifest that is pushed by digest', async () => {
  const { digest, payload } = await pushImage(registry.client, 'put/tags', undefined);
  const names = Array.from({ length: 12 }, (_, index) => `t${String(index).padStart(2, '0')}`);
  const query = names.map((name) => `tag=${name}`).join('&');
  const answer = await putManifest(registry.client, 'put/tags', `${digest}?${query}`, payload);
  expect(answer.status).toBe(201);
  expect(answer.headers['oci-tag']).toBe(names.join(', '));
  expect(await tags('put/tags')).toEqual(names);
});

it.each([
  [MEDIA_TYPE.ociManifest, MEDIA_TYPE.ociConfig],
  [MEDIA_TYPE.dockerManifest, MEDIA_TYPE.dockerConfig],
])('takes %s', async (mediaType, configType) => {
  await pushBlob(registry.client, 'put/types', '{}');
  const manifest = { schemaVersion: 2, mediaType, config: describe('{}', configType), layers: [] };
  const answer = await putManifest(
    registry.client,
    'put/types',
    'v1',
    JSON.stringify(manifest),
    `${mediaType}; charset=utf-8`,
  );
  expect(answer.status).toBe(201);
  expect((await send('GET', '/v2/put/types/manifests/v1')).headers['content-type']).toBe(mediaType);
});

it.each([MEDIA_TYPE.ociIndex, MEDIA_TYPE.dockerManifestList])('takes a sparse %s', async (mediaType) => {
  const absent = {
    ...describe('absent', MEDIA_TYPE.ociManifest),
    platform: { os: 'linux', architecture: 'arm64' },
  };
  const index = JSON.stringify({ schemaVersion: 2, mediaType, manifests: [absent] });
  expect((await putManifest(registry.client, 'put/sparse', 'all', index, mediaType)).status).toBe(201);
});

it('reads the type from a document without one, and from a request without one', async () => {
  await pushBlob(registry.client, 'put/untyped', '{}');
  const manifest = { schemaVersion: 2, config: describe('{}', MEDIA_TYPE.ociConfig), layers: [] };
  const untyped = JSON.stringify(manifest);
  expect((await putManifest(registry.client, 'put/untyped', 'a', untyped)).status).toBe(201);
  const typed = JSON.stringify({ ...manifest, mediaType: MEDIA_TYPE.dockerManifest });
  expect((await send('PUT', '/v2/put/untyped/manifests/b', { body: typed })).status).toBe(201);
  expect((await send('HEAD', '/v2/put/untyped/manifests/b')).headers['content-type']).toBe(
    MEDIA_TYPE.dockerManifest,
  );
});

it('does not ask for layers that are kept elsewhere', async () => {
  const foreign = describe('foreign', 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip');
  const withUrls = { ...describe('linked', MEDIA_TYPE.ociLayer), urls: ['https://example.com/layer'] };
  const { answer } = await pushImage(registry.client, 'put/foreign', 'v1', { layers: [foreign, withUrls] });
  expect(answer.status).toBe(201);
});

it('answers OCI-Subject, also for a subject that is not there', async () => {
  const subject = describe('no such manifest', MEDIA_TYPE.ociManifest);
  const { answer } = await pushImage(registry.client, 'put/subject', undefined, { subject });
  expect([answer.status, answer.headers['oci-subject']]).toEqual([201, subject.digest]);
});

it('refuses a manifest whose blobs were not pushed, and keeps nothing', async () => {
  const layers = [describe('never pushed', MEDIA_TYPE.ociLayer)];
  const { answer, digest } = await pushImage(registry.client, 'put/missing', 'v1', { layers });
  expect([answer.status, errorCode(answer)]).toEqual([404, 'MANIFEST_BLOB_UNKNOWN']);
  for (const reference of ['v1', digest]) {
    expect((await send('GET', `/v2/put/missing/manifests/${reference}`)).status).toBe(404);
  }
});

it('refuses blobs that only another repository has', async () => {
  const { payload } = await pushImage(registry.client, 'put/owner', 'v1');
  const answer = await putManifest(registry.client, 'put/thief', 'v1', payload);
  expect([answer.status, errorCode(answer)]).toEqual([404, 'MANIFEST_BLOB_UNKNOWN']);
});

const config = describe('{}', MEDIA_TYPE.ociConfig);
it.each<[string, string | Uint8Array]>([
  ['no JSON', 'nonsense'],
  ['no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
  ['nothing', ''],
  ['a list', '[]'],
  ['null', 'null'],
  ['schema 1', JSON.stringify({ schemaVersion: 1, name: 'x', tag: 'y' })],
  ['no config', JSON.stringify({ schemaVersion: 2, layers: [] })],
  ['no layers', JSON.stringify({ schemaVersion: 2, config })],
  ['a config without a digest', JSON.stringify({ schemaVersion: 2, config: { size: 2 }, layers: [] })],
  ['a negative size', JSON.stringify({ schemaVersion: 2, config: { ...config, size: -1 }, layers: [] })],
  [
    'another type than it says',
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: [] }),
  ],
  ['an image and an index', JSON.stringify({ schemaVersion: 2, config, layers: [], manifests: [] })],
  ['a subject that is no descriptor', JSON.stringify({ schemaVersion: 2, config, layers: [], subject: 'x' })],
  [
    'annotations that are no strings',
    JSON.stringify({ schemaVersion: 2, config, layers: [], annotations: { a: 1 } }),
  ],
])('refuses a manifest that is %s', async (_, payload) => {
  const answer = await putManifest(registry.client, 'put/invalid', 'v1', payload);
  expect([answer.status, errorCode(answer)]).toEqual([400, 'MANIFEST_INVALID']);
});

it('refuses a type it does not know', async () => {
  const answer = await putManifest(registry.client, 'put/invalid', 'v1', '{"schemaVersion":2}', 'text/html');
  expect([answer.status, errorCode(answer)]).toEqual([400, 'MANIFEST_INVALID']);
});

it.each([
  ['another digest', digestOf('other'), 'DIGEST_INVALID'],
  ['a malformed digest', 'sha256:00', 'DIGEST_INVALID'],
  ['a malformed tag', '.v1', 'MANIFEST_INVALID'],
  ['a tag that is too long', 'a'.repeat(129), 'MANIFEST_INVALID'],
])('refuses %s', async (_, reference, code) => {
  const { payload } = await pushImage(registry.client, 'put/reference', 'ok');
  const answer = await putManifest(registry.client, 'put/reference', reference, payload);
  expect([answer.status, errorCode(answer)]).toEqual([400, code]);
});

it('takes a manifest of the largest size, and no larger one, told or not', async () => {
  const { payload } = await pushImage(registry.client, 'put/size', 'small');
  const padded = (size: number) => payload + ' '.repeat(size - payload.length);
  expect((await putManifest(registry.client, 'put/size', 'largest', padded(maxManifestSize))).status).toBe(
    201,
  );

  const told = await putManifest(registry.client, 'put/size', 'told', padded(maxManifestSize + 1));
  expect([told.status, errorCode(told)]).toEqual([413, 'SIZE_INVALID']);
  const untold = await send('PUT', '/v2/put/size/manifests/untold', {
    body: (async function* () {
      for (let sent = 0; sent < 20; sent++) yield Buffer.alloc(50_000, ' ');
    })(),
    headers: { 'Content-Type': MEDIA_TYPE.ociManifest },
  });
  expect([untold.status, errorCode(untold)]).toEqual([413, 'SIZE_INVALID']);
  expect(await tags('put/size')).toEqual(['largest', 'small']);
});

it('takes names and tags of the greatest length, and serves them', async () => {
  const name = `${'a'.repeat(127)}/${'b'.repeat(127)}`;
  const tag = 't'.repeat(128);
  const { answer, payload } = await pushImage(registry.client, name, tag);
  expect(answer.status).toBe(201);
  const served = await registry.client.send('GET', `/v2/${name}/manifests/${tag}`);
  expect([served.status, served.body.toString()]).toEqual([200, payload]);
  const list = await registry.client.send('GET', `/v2/${name}/tags/list`);
  expect(json(list)).toEqual({ name, tags: [tag] });
});

it('takes an image of hundreds of layers', async () => {
  const texts = Array.from({ length: 600 }, (_, index) => `layer ${index}`);
  for (const text of texts) await registry.registry.uploads.put(name, digestOf(text), once(text), SYSTEM);
  const layers = texts.map((text) => describe(text, MEDIA_TYPE.ociLayer));
  const { answer } = await pushImage(registry.client, name, 'v1', { layers });
  expect(answer.status).toBe(201);
});

const name = parseRepositoryName('put/many');

async function* once(text: string) {
  yield Buffer.from(text);
}
