import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { begin, describe as descriptor, errorCode, json } from '#test/registry/distribution-client.ts';
import { NOTHING, stored } from '#test/registry/nothing-stored.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

// Requests that try to get out of where they belong, or to keep the registry busy: each is refused with a clear answer,
// and leaves nothing.

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry({ timeouts: { headers: 400, idle: 1500 } });
});
afterAll(() => registry[Symbol.asyncDispose]());

const send: TestRegistry['client']['send'] = (...request) => registry.client.send(...request);
const digest = digestOf('a layer');
const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: MEDIA_TYPE.ociIndex,
  manifests: [descriptor('absent', MEDIA_TYPE.ociManifest)],
});
const putManifest = { body: manifest, headers: { 'Content-Type': MEDIA_TYPE.ociIndex } };

/** Long texts do not go into a test's name. */
const titled = (texts: readonly string[]) => texts.map((text): [string, string] => [text.slice(0, 40), text]);

const names = [
  '..',
  '.',
  'a/..',
  '../a',
  'a/../b',
  'a//b',
  '/a',
  'a/',
  '%2e%2e',
  'a%2f..%2fb',
  'a%2f%2fb',
  '..%5c..%5ca',
  'a%5cb',
  '%252e%252e',
  'a%00',
  'a%0d%0aX:%20y',
  'a%ff',
  '%',
  '%zz',
  '%c0%ae%c0%ae',
  'UPPER',
  '-a',
  'a-',
  'a___b',
  'a..b',
  'a%20b',
  '~root',
  '%F0%9F%92%A5',
  'a'.repeat(256),
  `${'a/'.repeat(200)}a`,
  '_oci',
  'a:b',
  'a@b',
];

it.each(titled(names))('refuses the name %s wherever a name goes', async (_, name) => {
  for (const [method, path, options] of [
    ['PUT', 'manifests/v1', putManifest],
    ['POST', 'blobs/uploads/'],
    ['POST', `blobs/uploads/?digest=${digest}`, { body: 'a layer' }],
    ['POST', `blobs/uploads/?mount=${digest}`],
    ['GET', 'tags/list'],
    ['GET', 'manifests/v1'],
    ['GET', `blobs/${digest}`],
    ['GET', `referrers/${digest}`],
    ['DELETE', 'manifests/v1'],
    ['DELETE', `blobs/${digest}`],
  ] as const) {
    const answer = await send(method, `/v2/${name}/${path}`, options);
    expect([answer.status, errorCode(answer)]).toEqual([400, 'NAME_INVALID']);
  }
});

const digests = [
  'sha256:../../../etc/passwd',
  'sha256:%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  `sha256:${'0'.repeat(63)}`,
  `sha256:${'0'.repeat(65)}`,
  `sha256:${'A'.repeat(64)}`,
  `sha256:${'0'.repeat(63)}%0a`,
  `sha256:${'0'.repeat(63)}%00`,
  `sha512:${'0'.repeat(64)}`,
  `SHA256:${'0'.repeat(64)}`,
  `md5:${'0'.repeat(32)}`,
  'constructor:0',
  '__proto__:0',
  ':',
  `sha256:${'0'.repeat(5000)}`,
];

it.each(titled(digests))('refuses the digest %s wherever a digest goes', async (_, text) => {
  const location = await begin(registry.client, 'hostile/digests');
  for (const [method, path, options] of [
    ['GET', `/v2/hostile/digests/blobs/${text}`],
    ['HEAD', `/v2/hostile/digests/blobs/${text}`],
    ['DELETE', `/v2/hostile/digests/blobs/${text}`],
    ['GET', `/v2/hostile/digests/manifests/${text}`],
    ['PUT', `/v2/hostile/digests/manifests/${text}`, putManifest],
    ['DELETE', `/v2/hostile/digests/manifests/${text}`],
    ['GET', `/v2/hostile/digests/referrers/${text}`],
    ['POST', `/v2/hostile/digests/blobs/uploads/?digest=${text}`, { body: 'a layer' }],
    ['PUT', `${location}?digest=${text}`, { body: 'a layer' }],
  ] as const) {
    const answer = await send(method, path, options);
    // With a slash in it, it is no path of ours any more.
    const gone = text.includes('/') && !path.includes('?');
    const code = method === 'HEAD' ? undefined : errorCode(answer);
    // No parameter may have control characters, whatever it is for.
    const control = path.includes('?') && /%0[0a]/.test(path);
    const expected = gone ? [404, 'NAME_UNKNOWN'] : [400, control ? 'UNSUPPORTED' : 'DIGEST_INVALID'];
    expect([answer.status, code ?? expected[1]]).toEqual(expected);
  }
  expect((await send('DELETE', location)).status).toBe(204);
});

const uploadIds = [
  '..',
  '%2e%2e',
  '..%2f..%2f..%2fetc%2fpasswd',
  '%00',
  '00000000-0000-0000-0000-000000000000',
  '00000000-0000-0000-0000-00000000000A',
  "00000000-0000-0000-0000-000000000000'%20or%20'1'='1",
  'a'.repeat(5000),
];

it.each(titled(uploadIds))('does not know the upload %s', async (_, id) => {
  for (const [method, query] of [
    ['GET', ''],
    ['PATCH', ''],
    ['PUT', `?digest=${digest}`],
    ['DELETE', ''],
  ] as const) {
    const options = method === 'PATCH' || method === 'PUT' ? { body: 'a layer' } : {};
    const answer = await send(method, `/v2/hostile/uploads/blobs/uploads/${id}${query}`, options);
    expect([answer.status, errorCode(answer)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
  }
});

it.each([
  '1-0',
  '0--1',
  '-1-5',
  '0-',
  '-',
  '0-5,7-9',
  '0-99999999999999999999',
  '0x0-0x5',
  '0-1e3',
  ' 0 - 5 x',
])('refuses the Content-Range %s', async (range) => {
  const location = await begin(registry.client, 'hostile/ranges');
  for (const method of ['PATCH', 'PUT']) {
    const options = { body: '123456', headers: { 'Content-Range': range } };
    const answer = await send(method, `${location}?digest=${digest}`, options);
    expect([answer.status, errorCode(answer)]).toEqual([400, 'BLOB_UPLOAD_INVALID']);
  }
  expect((await send('GET', location)).headers.range).toBe('0-0');
  await send('DELETE', location);
});

const pages = ['n=9e9', 'n=0x10', 'n=%00', 'last=%00', 'n=1&last=%0d%0aX:y', `last=${'%1b'.repeat(1000)}`];

it.each(titled(pages))('refuses the page %s of every list', async (_, query) => {
  for (const path of [
    '/v2/_catalog',
    '/v2/hostile/pages/tags/list',
    `/v2/hostile/pages/referrers/${digest}`,
  ]) {
    if (path.includes('referrers') && query.startsWith('n=') && !query.includes('last')) continue;
    const answer = await send('GET', `${path}?${query}`);
    expect([answer.status, errorCode(answer)]).toEqual([400, 'UNSUPPORTED']);
  }
});

it('is not confused by parameters named like what every object has', async () => {
  const answer = await send('GET', '/v2/_catalog?__proto__=1&constructor=2&n=1&n=2&toString=3');
  expect([answer.status, json(answer)]).toEqual([200, { repositories: [] }]);
});

function open(): Socket {
  const [host, port] = registry.address.split(':');
  const socket = connect({ host, port: Number(port) });
  socket.on('error', () => {});
  return socket;
}

/** Everything that comes on a socket until it is closed. */
function untilClosed(socket: Socket): Promise<string> {
  let received = '';
  socket.on('data', (data) => {
    received += data.toString('latin1');
  });
  return new Promise((resolve) => socket.once('close', () => resolve(received)));
}

it.each<[string, string, number]>([
  ['is no HTTP', 'nonsense\r\n\r\n', 400],
  ['is another version of HTTP', 'GET /v2/ HTTP/9.9\r\nHost: x\r\n\r\n', 400],
  ['has no host', 'GET /v2/ HTTP/1.1\r\n\r\n', 400],
  [
    'has two lengths',
    'PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    400,
  ],
  [
    'has a length and chunks',
    'PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  ['has a length below zero', 'PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n', 400],
  ['has a zero byte in a header', 'GET /v2/ HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n', 400],
  ['has a header that goes on', 'GET /v2/ HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n', 400],
  ['has one header without an end', `GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`, 431],
  [
    'is a flood of headers',
    `GET /v2/ HTTP/1.1\r\nHost: x\r\n${Array.from({ length: 10_000 }, (_, i) => `X${i}: y\r\n`).join('')}\r\n`,
    431,
  ],
  ['has an address without an end', `GET /v2/${'a/'.repeat(50_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
])('answers a request that %s, and hangs up', async (_, text, status) => {
  const socket = open();
  const received = untilClosed(socket);
  socket.write(text);
  expect(await received).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
});

it('hangs up on those who send their headers drop by drop, and serves others meanwhile', async () => {
  const slow = Array.from({ length: 50 }, () => {
    const socket = open();
    socket.write('GET /v2/ HTTP/1.1\r\nHost: x\r\n');
    const drops = setInterval(() => socket.write('X: y\r\n'), 100);
    return untilClosed(socket).finally(() => clearInterval(drops));
  });
  expect((await send('GET', '/v2/')).status).toBe(200);
  for (const received of await Promise.all(slow)) expect(received).toMatch(/^HTTP\/1.1 408 /);
});

it('hangs up on uploads that stop halfway; what can be continued is kept, and nothing else', async () => {
  const location = await begin(registry.client, 'hostile/half');
  const requests = [
    `POST /v2/hostile/half/blobs/uploads/?digest=${digest} HTTP/1.1`,
    `PUT /v2/hostile/half/manifests/v1 HTTP/1.1`,
    `PATCH ${location} HTTP/1.1`,
  ];
  const closed = requests.map((line) => {
    const socket = open();
    socket.write(`${line}\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"half":`);
    return untilClosed(socket);
  });
  await Promise.all(closed);
  await expect.poll(async () => (await stored(registry)).ingests).toBe(1);
  expect((await send('GET', location)).headers.range).toBe('0-7');
  expect((await send('DELETE', location)).status).toBe(204);
});

it('takes a million chunks of one byte', async () => {
  const socket = open();
  const location = await begin(registry.client, 'hostile/drops');
  const answered = new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))));
  socket.write(`PATCH ${location} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
  for (let sent = 0; sent < 1_000_000; sent += 10_000) {
    if (!socket.write('1\r\na\r\n'.repeat(10_000)))
      await new Promise((resolve) => socket.once('drain', resolve));
  }
  socket.write('0\r\n\r\n');
  expect(await answered).toMatch(/^HTTP\/1.1 202 [\s\S]*\r\nRange: 0-999999\r\n/i);
  socket.destroy();
  expect((await send('DELETE', location)).status).toBe(204);
});

it('stored nothing of all that', async () => {
  await expect.poll(() => stored(registry)).toEqual(NOTHING);
});
