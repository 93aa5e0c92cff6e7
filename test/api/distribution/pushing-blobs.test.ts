import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { begin, errorCode, pushBlob } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

const send: TestRegistry['client']['send'] = (...request) => registry.client.send(...request);
const exists = async (repository: string, digest: string) =>
  (await send('HEAD', `/v2/${repository}/blobs/${digest}`)).status === 200;

/** Everything in the content store, written or being written. */
async function stored(): Promise<string[]> {
  const found: string[] = [];
  for await (const { location } of registry.content.walk()) found.push(location);
  for await (const { location } of registry.content.ingests()) found.push(location);
  return found;
}

async function* pieces(...texts: string[]) {
  for (const text of texts) yield Buffer.from(text);
}

it('begins an upload with a place to send it to', async () => {
  const answer = await send('POST', '/v2/push/begin/blobs/uploads/');
  expect(answer.status).toBe(202);
  expect(answer.headers.location).toMatch(/^\/v2\/push\/begin\/blobs\/uploads\/[0-9a-f-]{36}$/);
  expect(answer.headers['docker-upload-uuid']).toBe(answer.headers.location!.split('/').at(-1));
  expect(answer.headers.range).toBe('0-0');
  expect(answer.headers['content-length']).toBe('0');
  expect(answer.headers['oci-chunk-min-length']).toBe(registry.content.minimumChunk?.toString());
});

it('takes a blob in POST and PUT', async () => {
  const digest = digestOf('post and put');
  const location = await begin(registry.client, 'push/put');
  const answer = await send('PUT', `${location}?digest=${digest}`, { body: 'post and put' });
  expect(answer.status).toBe(201);
  expect(answer.headers.location).toBe(`/v2/push/put/blobs/${digest}`);
  expect(answer.headers['docker-content-digest']).toBe(digest);
  expect((await send('GET', answer.headers.location!)).body.toString()).toBe('post and put');
  expect((await send('GET', location)).status).toBe(404);
});

it('takes a blob in POST alone', async () => {
  const digest = digestOf('post');
  const answer = await send('POST', `/v2/push/post/blobs/uploads/?digest=${digest}`, { body: 'post' });
  expect([answer.status, answer.headers.location]).toEqual([201, `/v2/push/post/blobs/${digest}`]);
  expect(await exists('push/post', digest)).toBe(true);
});

it('takes a stream without a length, as docker sends it', async () => {
  const location = await begin(registry.client, 'push/stream');
  const patch = await send('PATCH', location, { body: pieces('some ', 'pieces') });
  expect([patch.status, patch.headers.range]).toEqual([202, '0-10']);
  const digest = digestOf('some pieces');
  expect((await send('PUT', `${patch.headers.location}?digest=${digest}`)).status).toBe(201);
  expect(await exists('push/stream', digest)).toBe(true);
});

it.each(['sha256', 'sha512'] as const)(
  'takes chunks in order, with the last in PUT (%s)',
  async (algorithm) => {
    const digest = digestOf('onetwothree', algorithm);
    const location = await begin(
      registry.client,
      'push/chunks',
      algorithm === 'sha512' ? '?digest-algorithm=sha512' : '',
    );
    const first = await send('PATCH', location, { body: 'one', headers: { 'Content-Range': '0-2' } });
    expect([first.status, first.headers.range]).toEqual([202, '0-2']);
    const second = await send('PATCH', location, { body: 'two', headers: { 'Content-Range': '3-5' } });
    expect([second.status, second.headers.range]).toEqual([202, '0-5']);
    const headers = { 'Content-Range': '6-10' };
    expect((await send('PUT', `${location}?digest=${digest}`, { body: 'three', headers })).status).toBe(201);
    expect((await send('GET', `/v2/push/chunks/blobs/${digest}`)).body.toString()).toBe('onetwothree');
  },
);

it('takes another algorithm than the one it was hashing with', async () => {
  const location = await begin(registry.client, 'push/rehash');
  await send('PATCH', location, { body: 'hash me' });
  const digest = digestOf('hash me', 'sha512');
  expect((await send('PUT', `${location}?digest=${digest}`)).status).toBe(201);
  expect(await exists('push/rehash', digest)).toBe(true);
});

it('says how far an upload is', async () => {
  const location = await begin(registry.client, 'push/status');
  expect((await send('GET', location)).headers.range).toBe('0-0');
  await send('PATCH', location, { body: '12345' });
  const answer = await send('GET', location);
  expect([answer.status, answer.headers.range, answer.headers.location]).toEqual([204, '0-4', location]);
});

it.each(['PATCH', 'PUT'])('refuses a %s out of order, and says where to go on', async (method) => {
  const digest = digestOf('onetwo');
  const location = await begin(registry.client, 'push/order');
  await send('PATCH', location, { body: 'one', headers: { 'Content-Range': '0-2' } });
  for (const range of ['0-2', '4-6']) {
    const options = { body: 'two', headers: { 'Content-Range': range } };
    const answer = await send(method, `${location}?digest=${digest}`, options);
    expect([answer.status, errorCode(answer)]).toEqual([416, 'BLOB_UPLOAD_INVALID']);
    expect([answer.headers.range, answer.headers.location]).toEqual(['0-2', location]);
  }
  const right = { body: 'two', headers: { 'Content-Range': '3-5' } };
  expect((await send('PUT', `${location}?digest=${digest}`, right)).status).toBe(201);
});

it.each([
  ['other than its length', '0-9', 'SIZE_INVALID'],
  ['upside down', '5-3', 'BLOB_UPLOAD_INVALID'],
  ['not a range', 'abc', 'BLOB_UPLOAD_INVALID'],
])('refuses a Content-Range that is %s', async (_, range, code) => {
  const location = await begin(registry.client, 'push/range');
  const answer = await send('PATCH', location, { body: 'one', headers: { 'Content-Range': range } });
  expect([answer.status, errorCode(answer)]).toEqual([400, code]);
  expect((await send('GET', location)).headers.range).toBe('0-0');
});

it.each([
  ['more', '0-1'],
  ['less', '0-9'],
])('refuses a stream that brings %s than its Content-Range', async (_, range) => {
  const location = await begin(registry.client, 'push/range');
  const answer = await send('PATCH', location, { body: pieces('one'), headers: { 'Content-Range': range } });
  expect([answer.status, errorCode(answer)]).toEqual([400, 'SIZE_INVALID']);
});

it('keeps nothing of a blob with another digest', async () => {
  const before = await stored();
  const wrong = digestOf('right');
  const post = await send('POST', `/v2/push/wrong/blobs/uploads/?digest=${wrong}`, { body: 'wrong' });
  expect([post.status, errorCode(post)]).toEqual([400, 'DIGEST_INVALID']);

  const location = await begin(registry.client, 'push/wrong');
  const put = await send('PUT', `${location}?digest=${wrong}`, { body: 'wrong' });
  expect([put.status, errorCode(put)]).toEqual([400, 'DIGEST_INVALID']);
  expect((await send('GET', location)).status).toBe(404);
  expect(await exists('push/wrong', wrong)).toBe(false);
  expect(await stored()).toEqual(before);
});

it.each([
  ['no digest', ''],
  ['a malformed digest', '?digest=sha256:00'],
  ['an unknown algorithm', `?digest=md5:${'0'.repeat(32)}`],
])('refuses to end an upload with %s, which stays', async (_, query) => {
  const location = await begin(registry.client, 'push/ends');
  await send('PATCH', location, { body: 'abc' });
  const answer = await send('PUT', `${location}${query}`);
  expect([answer.status, errorCode(answer)]).toEqual([400, 'DIGEST_INVALID']);
  expect((await send('GET', location)).headers.range).toBe('0-2');
});

it('cancels an upload', async () => {
  const before = await stored();
  const location = await begin(registry.client, 'push/cancel');
  await send('PATCH', location, { body: 'abc' });
  expect((await send('DELETE', location)).status).toBe(204);
  for (const method of ['GET', 'DELETE', 'PATCH']) {
    const answer = await send(method, location);
    expect([answer.status, errorCode(answer)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
  }
  expect(await stored()).toEqual(before);
});

it('knows an upload only in its repository', async () => {
  const location = await begin(registry.client, 'push/mine');
  const elsewhere = location.replace('/mine/', '/theirs/');
  expect((await send('GET', elsewhere)).status).toBe(404);
  expect((await send('GET', '/v2/push/mine/blobs/uploads/..%2f..%2fetc')).status).toBe(404);
});

it('stores the same bytes once, whoever pushes them', async () => {
  const digest = await pushBlob(registry.client, 'push/once', 'the same');
  const before = await stored();
  await pushBlob(registry.client, 'push/again', 'the same');
  await pushBlob(registry.client, 'push/once', 'the same');
  expect(await stored()).toEqual(before);
  expect(await exists('push/again', digest)).toBe(true);
});

it('takes the same blob many times at once', async () => {
  const bytes = Buffer.alloc(2_000_000, 'at once');
  const names = Array.from({ length: 8 }, (_, index) => `push/race${index}`);
  const before = (await stored()).length;
  const [digest] = await Promise.all(names.map((name) => pushBlob(registry.client, name, bytes)));
  for (const name of names) {
    expect((await send('GET', `/v2/${name}/blobs/${digest}`)).body.equals(bytes)).toBe(true);
  }
  expect((await stored()).length).toBe(before + 1);
});

it('replaces content that is gone from the disk when it is pushed again', async () => {
  const digest = await pushBlob(registry.client, 'push/lost', 'lost bytes');
  for await (const { location } of registry.content.walk()) {
    let content = '';
    for await (const chunk of await registry.content.open(location)) content += Buffer.from(chunk);
    if (content === 'lost bytes') await registry.content.delete(location);
  }
  expect((await send('GET', `/v2/push/lost/blobs/${digest}`)).status).not.toBe(200);
  await pushBlob(registry.client, 'push/lost', 'lost bytes');
  expect((await send('GET', `/v2/push/lost/blobs/${digest}`)).body.toString()).toBe('lost bytes');
});

it('takes a chunk from one of two who send it at once, and the end from one of two who end it', async () => {
  const bytes = Buffer.alloc(200_000, 'twice ');
  const location = await begin(registry.client, 'push/race');
  const headers = { 'Content-Range': `0-${bytes.length - 1}` };
  const both = (...[method, path, options]: Parameters<typeof send>) =>
    Promise.all([send(method, path, options), send(method, path, options)]);
  const chunks = await both('PATCH', location, { body: bytes, headers });
  expect(chunks.map(({ status }) => status).toSorted()).toEqual([202, 416]);
  const digest = digestOf(bytes);
  const ends = await both('PUT', `${location}?digest=${digest}`);
  expect(ends.map(({ status }) => status).toSorted()).toEqual([201, 404]);
  expect((await send('GET', `/v2/push/race/blobs/${digest}`)).body.equals(bytes)).toBe(true);
});

it('ends an upload or cancels it when it is told both at once, and says which', async () => {
  const bytes = Buffer.alloc(100_000, 'one or the other ');
  const digest = digestOf(bytes);
  const location = await begin(registry.client, 'push/either');
  expect((await send('PATCH', location, { body: bytes })).status).toBe(202);
  const [end, cancel] = await Promise.all([
    send('PUT', `${location}?digest=${digest}`),
    send('DELETE', location),
  ]);
  const blob = await send('HEAD', `/v2/push/either/blobs/${digest}`);
  expect([
    [201, 404, 200],
    [404, 204, 404],
  ]).toContainEqual([end.status, cancel.status, blob.status]);
  expect((await send('GET', location)).status).toBe(404);
});

it('keeps what came of a chunk whose sender went away, and goes on from there', async () => {
  const location = await begin(registry.client, 'push/cut');
  const bytes = Buffer.alloc(3_000_000, 'abcdefg');
  const [host, port] = registry.address.split(':');
  const socket = connect({ host, port: Number(port) });
  socket.write(`PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n\r\n`);
  socket.write(bytes.subarray(0, 1_500_000));
  await expect.poll(async () => (await send('GET', location)).headers.range).toBe('0-1499999');
  socket.destroy();
  const headers = { 'Content-Range': '1500000-2999999' };
  const rest = await send('PATCH', location, { body: bytes.subarray(1_500_000), headers });
  expect([rest.status, rest.headers.range]).toEqual([202, '0-2999999']);
  expect((await send('PUT', `${location}?digest=${digestOf(bytes)}`)).status).toBe(201);
});
