import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import {
  begin,
  errorCode,
  json,
  pushBlob,
  pushImage,
  putManifest,
} from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

const send: TestRegistry['client']['send'] = (...request) => registry.client.send(...request);
const tags = async (name: string) =>
  (json(await send('GET', `/v2/${name}/tags/list`)) as { tags: string[] }).tags;

it('deletes a tag, and leaves the manifest', async () => {
  const { digest } = await pushImage(registry.client, 'delete/tag', 'v1');
  const answer = await send('DELETE', '/v2/delete/tag/manifests/v1');
  expect([answer.status, answer.body.length]).toEqual([202, 0]);
  expect((await send('GET', '/v2/delete/tag/manifests/v1')).status).toBe(404);
  expect((await send('GET', `/v2/delete/tag/manifests/${digest}`)).status).toBe(200);
});

it('deletes a manifest with all of its tags, and no others', async () => {
  const { digest, payload } = await pushImage(registry.client, 'delete/manifest', 'v1');
  for (const tag of ['v2', 'v3']) await putManifest(registry.client, 'delete/manifest', tag, payload);
  await pushImage(registry.client, 'delete/manifest', 'other', { annotations: { other: 'yes' } });
  expect((await send('DELETE', `/v2/delete/manifest/manifests/${digest}`)).status).toBe(202);
  expect(await tags('delete/manifest')).toEqual(['other']);
  for (const reference of ['v1', 'v2', 'v3', digest]) {
    expect((await send('GET', `/v2/delete/manifest/manifests/${reference}`)).status).toBe(404);
  }
  expect((await putManifest(registry.client, 'delete/manifest', 'again', payload)).status).toBe(201);
});

it('deletes a blob from one repository', async () => {
  const digest = await pushBlob(registry.client, 'delete/blob', 'x');
  await pushBlob(registry.client, 'delete/other', 'x');
  expect((await send('DELETE', `/v2/delete/blob/blobs/${digest}`)).status).toBe(202);
  expect((await send('HEAD', `/v2/delete/blob/blobs/${digest}`)).status).toBe(404);
  expect((await send('GET', `/v2/delete/other/blobs/${digest}`)).body.toString()).toBe('x');
});

it.each([
  ['manifests/none', 'MANIFEST_UNKNOWN'],
  [`manifests/${digestOf('none')}`, 'MANIFEST_UNKNOWN'],
  [`blobs/${digestOf('none')}`, 'BLOB_UNKNOWN'],
])('does not know %s', async (path, code) => {
  await pushBlob(registry.client, 'delete/unknown', 'x');
  for (const name of ['delete/unknown', 'delete/none']) {
    const answer = await send('DELETE', `/v2/${name}/${path}`);
    expect([answer.status, errorCode(answer)]).toEqual([404, code]);
  }
});

it('deletes one thing once when asked twice at once', async () => {
  const { digest } = await pushImage(registry.client, 'delete/race', 'v1');
  const path = `/v2/delete/race/manifests/${digest}`;
  const answers = await Promise.all([send('DELETE', path), send('DELETE', path)]);
  expect(answers.map(({ status }) => status).sort()).toEqual([202, 404]);
});

it('refuses every delete but that of an upload when deleting is switched off', async () => {
  await using closed = await startTestRegistry({ deletes: false });
  const { digest } = await pushImage(closed.client, 'delete/off', 'v1');
  const blob = digestOf('{}');
  for (const path of ['manifests/v1', `manifests/${digest}`, `blobs/${blob}`, 'manifests/none']) {
    const answer = await closed.client.send('DELETE', `/v2/delete/off/${path}`);
    expect([answer.status, errorCode(answer)]).toEqual([405, 'UNSUPPORTED']);
    expect(answer.headers.allow).toBe('GET, HEAD, PUT');
  }
  expect((await closed.client.send('GET', '/v2/delete/off/manifests/v1')).status).toBe(200);
  expect((await closed.client.send('HEAD', `/v2/delete/off/blobs/${blob}`)).status).toBe(200);
  const upload = await begin(closed.client, 'delete/off');
  expect((await closed.client.send('DELETE', upload)).status).toBe(204);
});
