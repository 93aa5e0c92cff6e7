import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import {
  type Answer,
  begin,
  describe,
  json,
  pushImage,
  type SendOptions,
} from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

// OCI distribution-spec, "Error Codes": the shape of every error, and what leads to each of the codes. UNAUTHORIZED,
// DENIED and TOOMANYREQUESTS need a registry with logins and limits; their tests are with those.

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry({ maxManifestSize: 10_000 });
});
afterAll(() => registry[Symbol.asyncDispose]());

const CODES = [
  'BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID MANIFEST_BLOB_UNKNOWN MANIFEST_INVALID',
  'MANIFEST_UNKNOWN NAME_INVALID NAME_UNKNOWN SIZE_INVALID UNAUTHORIZED DENIED UNSUPPORTED TOOMANYREQUESTS',
].flatMap((line) => line.split(' '));

const none = digestOf('none');
const upload = '00000000-0000-0000-0000-000000000000';
const type = { 'Content-Type': MEDIA_TYPE.ociManifest };
const lacking = JSON.stringify({
  schemaVersion: 2,
  mediaType: MEDIA_TYPE.ociManifest,
  config: describe('never pushed', MEDIA_TYPE.ociConfig),
  layers: [],
});

/** A JSON body of the one form that there is. */
function errorOf(answer: Answer): { code: string; message: string } {
  expect(answer.headers['content-type']).toMatch(/^application\/json/);
  const body = json(answer) as { errors: { code: string; message: string; detail?: unknown }[] };
  expect(Object.keys(body)).toEqual(['errors']);
  expect(body.errors).toHaveLength(1);
  const [error] = body.errors;
  expect(Object.keys(error!).every((key) => ['code', 'message', 'detail'].includes(key))).toBe(true);
  expect(CODES).toContain(error!.code);
  expect(error!.message).not.toBe('');
  return error!;
}

it.each<[number, string, string, string, SendOptions?]>([
  [404, 'BLOB_UNKNOWN', 'GET', `/v2/a/blobs/${none}`],
  [404, 'BLOB_UNKNOWN', 'DELETE', `/v2/a/blobs/${none}`],
  [404, 'BLOB_UPLOAD_UNKNOWN', 'GET', `/v2/a/blobs/uploads/${upload}`],
  [404, 'BLOB_UPLOAD_UNKNOWN', 'PATCH', `/v2/a/blobs/uploads/${upload}`, { body: 'x' }],
  [404, 'BLOB_UPLOAD_UNKNOWN', 'PUT', `/v2/a/blobs/uploads/${upload}?digest=${none}`],
  [404, 'BLOB_UPLOAD_UNKNOWN', 'DELETE', `/v2/a/blobs/uploads/nonsense`],
  [400, 'DIGEST_INVALID', 'GET', '/v2/a/blobs/sha256:00'],
  [400, 'DIGEST_INVALID', 'POST', `/v2/a/blobs/uploads/?digest=${none}`, { body: 'other' }],
  [400, 'DIGEST_INVALID', 'POST', '/v2/a/blobs/uploads/?digest=sha256:baddigeststring', { body: 'x' }],
  [400, 'DIGEST_INVALID', 'POST', '/v2/a/blobs/uploads/?digest-algorithm=md5'],
  [400, 'DIGEST_INVALID', 'PUT', '/v2/a/manifests/sha256:baddigeststring', { body: lacking, headers: type }],
  [400, 'DIGEST_INVALID', 'PUT', `/v2/a/manifests/${none}`, { body: lacking, headers: type }],
  [404, 'MANIFEST_BLOB_UNKNOWN', 'PUT', '/v2/a/manifests/v1', { body: lacking, headers: type }],
  [400, 'MANIFEST_INVALID', 'PUT', '/v2/a/manifests/v1', { body: '{}', headers: type }],
  [400, 'MANIFEST_INVALID', 'PUT', '/v2/a/manifests/.v1', { body: lacking, headers: type }],
  [400, 'MANIFEST_INVALID', 'PUT', '/v2/a/manifests/v1?tag=.v2', { body: lacking, headers: type }],
  [414, 'MANIFEST_INVALID', 'PUT', `/v2/a/manifests/v1?${'tag=a&'.repeat(101)}`, { body: lacking }],
  [404, 'MANIFEST_UNKNOWN', 'GET', '/v2/a/manifests/none'],
  [404, 'MANIFEST_UNKNOWN', 'DELETE', `/v2/a/manifests/${none}`],
  [400, 'NAME_INVALID', 'GET', '/v2/UPPER/tags/list'],
  [400, 'NAME_INVALID', 'POST', '/v2/-/blobs/uploads/'],
  [404, 'NAME_UNKNOWN', 'GET', '/v2/none/tags/list'],
  [404, 'NAME_UNKNOWN', 'GET', '/v2/no/such/endpoint'],
  [413, 'SIZE_INVALID', 'PUT', '/v2/a/manifests/v1', { body: ' '.repeat(10_001), headers: type }],
  [405, 'UNSUPPORTED', 'POST', '/v2/a/manifests/v1'],
  [405, 'UNSUPPORTED', 'OPTIONS', '/v2/a/tags/list'],
  [400, 'UNSUPPORTED', 'GET', '/v2/a/tags/list?n=many'],
  [
    412,
    'DENIED',
    'PUT',
    '/v2/a/manifests/v9',
    { body: '{"schemaVersion":2,"manifests":[]}', headers: { 'If-Match': '*' } },
  ],
])('answers %d %s to %s %s', async (status, code, method, path, options) => {
  const answer = await registry.client.send(method, path, options);
  expect([answer.status, errorOf(answer).code]).toEqual([status, code]);
});

it('answers 416 BLOB_UPLOAD_INVALID to a chunk out of order, and 400 to a range that is none', async () => {
  const location = await begin(registry.client, 'a');
  const out = await registry.client.send('PATCH', location, {
    body: 'x',
    headers: { 'Content-Range': '5-5' },
  });
  expect([out.status, errorOf(out).code]).toEqual([416, 'BLOB_UPLOAD_INVALID']);
  const none = await registry.client.send('PATCH', location, {
    body: 'x',
    headers: { 'Content-Range': 'x' },
  });
  expect([none.status, errorOf(none).code]).toEqual([400, 'BLOB_UPLOAD_INVALID']);
});

it('answers 416 SIZE_INVALID to a range beyond a blob', async () => {
  await pushImage(registry.client, 'a', 'v1');
  const headers = { Range: 'bytes=5000-10000' };
  const answer = await registry.client.send('GET', `/v2/a/blobs/${digestOf('{}')}`, { headers });
  expect([answer.status, errorOf(answer).code]).toEqual([416, 'SIZE_INVALID']);
});
