import { readdirSync } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Digest, digestOf } from '#oci/digest.ts';
import { errorCode, pushBlob } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

const text = '0123456789';
const large = Buffer.alloc(5_000_000).map((_, index) => (index * 31 + (index >> 11)) & 255);

let registry: TestRegistry;
let digest: Digest;
let path: string;

beforeAll(async () => {
  registry = await startTestRegistry();
  digest = await pushBlob(registry.client, 'pull/blobs', text);
  path = `/v2/pull/blobs/blobs/${digest}`;
});
afterAll(() => registry[Symbol.asyncDispose]());

const get = (headers: Record<string, string> = {}) => registry.client.send('GET', path, { headers });

it('serves a blob whole', async () => {
  const answer = await get();
  expect(answer.status).toBe(200);
  expect(answer.body.toString()).toBe(text);
  expect(answer.headers).toMatchObject({
    'content-length': '10',
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    'accept-ranges': 'bytes',
  });
});

it('never encodes content, whatever the client accepts', async () => {
  const answer = await get({ 'Accept-Encoding': 'zstd, gzip' });
  expect(answer.headers['content-encoding']).toBeUndefined();
  expect(answer.body.toString()).toBe(text);
});

it('answers HEAD with the size and no body', async () => {
  const answer = await registry.client.send('HEAD', path);
  expect([answer.status, answer.body.length, answer.headers['content-length']]).toEqual([200, 0, '10']);
  expect(answer.headers['docker-content-digest']).toBe(digest);
});

it('serves a blob that is larger than any buffer', async () => {
  const other = await pushBlob(registry.client, 'pull/blobs', large);
  const answer = await registry.client.send('GET', `/v2/pull/blobs/blobs/${other}`);
  expect(answer.body.equals(large)).toBe(true);
  const headers = { Range: 'bytes=1000000-4999998' };
  const part = await registry.client.send('GET', `/v2/pull/blobs/blobs/${other}`, { headers });
  expect(part.body.equals(large.subarray(1_000_000, -1))).toBe(true);
});

it('serves an empty blob', async () => {
  const empty = await pushBlob(registry.client, 'pull/blobs', '');
  const answer = await registry.client.send('GET', `/v2/pull/blobs/blobs/${empty}`);
  expect([answer.status, answer.body.length, answer.headers['content-length']]).toEqual([200, 0, '0']);
  const headers = { Range: 'bytes=0-' };
  expect((await registry.client.send('GET', `/v2/pull/blobs/blobs/${empty}`, { headers })).status).toBe(416);
});

it.each([
  ['bytes=2-5', '2345', 'bytes 2-5/10'],
  ['bytes=0-0', '0', 'bytes 0-0/10'],
  ['bytes=4-', '456789', 'bytes 4-9/10'],
  ['bytes=-3', '789', 'bytes 7-9/10'],
  ['bytes=-99', text, 'bytes 0-9/10'],
  ['bytes=8-99', '89', 'bytes 8-9/10'],
  ['bytes=3-4,50-60', '34', 'bytes 3-4/10'],
])('serves the range %s', async (range, expected, contentRange) => {
  const answer = await get({ Range: range });
  expect(answer.status).toBe(206);
  expect(answer.body.toString()).toBe(expected);
  expect(answer.headers['content-range']).toBe(contentRange);
  expect(answer.headers['content-length']).toBe(String(expected.length));
});

it.each(['bytes=10-', 'bytes=10-20', 'bytes=-0', 'bytes=500-0', 'bytes=', 'bytes=a-b', 'bytes=5', 'bytes=-'])(
  'answers 416 to the range %s',
  async (range) => {
    const answer = await get({ Range: range });
    expect(answer.status).toBe(416);
    expect(answer.headers['content-range']).toBe('bytes */10');
  },
);

it('ignores a unit it does not know, and a range of another version', async () => {
  expect((await get({ Range: 'lines=1-2' })).status).toBe(200);
  expect((await get({ Range: 'bytes=1-2', 'If-Range': '"other"' })).status).toBe(200);
  expect((await get({ Range: 'bytes=1-2', 'If-Range': `"${digest}"` })).status).toBe(206);
});

it('serves several ranges as parts', async () => {
  const answer = await get({ Range: 'bytes=0-1, 4-5,-1' });
  expect(answer.status).toBe(206);
  const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(answer.headers['content-type']!)![1];
  expect(answer.headers['content-length']).toBe(String(answer.body.length));
  const parts = answer.body.toString().split(`--${boundary}`);
  expect(parts).toHaveLength(5);
  expect(parts.at(-1)).toBe('--\r\n');
  expect(parts.slice(1, 4).map((part) => part.split('\r\n\r\n')[1])).toEqual(['01\r\n', '45\r\n', '9\r\n']);
  expect(parts[2]).toContain('Content-Range: bytes 4-5/10');
});

it('serves the whole when ranges add up to more than that', async () => {
  const range = Array.from({ length: 100 }, () => '0-9').join(',');
  const answer = await get({ Range: `bytes=${range}` });
  expect([answer.status, answer.body.toString()]).toEqual([200, text]);
});

it('answers 304 to a client that has it', async () => {
  const answer = await get({ 'If-None-Match': `"${digest}"` });
  expect([answer.status, answer.body.length]).toEqual([304, 0]);
});

it.each([
  ['a digest that is not there', 'pull/blobs', digestOf('none'), 404, 'BLOB_UNKNOWN'],
  ['a blob of another repository', 'pull/others', digestOf(text), 404, 'BLOB_UNKNOWN'],
  ['a malformed digest', 'pull/blobs', 'sha256:00', 400, 'DIGEST_INVALID'],
  ['a name with a dot segment', '../pull/blobs', digestOf(text), 400, 'NAME_INVALID'],
  ['an encoded dot segment', '%2e%2e/pull', digestOf(text), 400, 'NAME_INVALID'],
  ['a broken encoding', '%zz', digestOf(text), 400, 'NAME_INVALID'],
  ['a name with an encoded zero byte', 'pull%00', digestOf(text), 400, 'NAME_INVALID'],
])('refuses %s', async (_, name, wanted, status, code) => {
  const answer = await registry.client.send('GET', `/v2/${name}/blobs/${wanted}`);
  expect([answer.status, errorCode(answer)]).toEqual([status, code]);
});

it('lets go of the file when a client leaves early', async () => {
  const bytes = Buffer.alloc(50_000_000, 1);
  const other = await pushBlob(registry.client, 'pull/blobs', bytes);
  const [host, port] = registry.address.split(':');
  const socket = connect({ host, port: Number(port) });
  socket.write(`GET /v2/pull/blobs/blobs/${other} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await new Promise((resolve) => socket.once('data', resolve));
  socket.destroy();
  await expect.poll(() => openBlobs(registry)).toEqual([]);
});

async function openBlobs({ blobs }: TestRegistry): Promise<string[]> {
  const links = readdirSync('/proc/self/fd').map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(links)).filter((link) => link.startsWith(blobs));
}
