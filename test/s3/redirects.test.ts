import { afterAll, beforeAll, expect, it } from 'vitest';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import { type BlobRedirectPolicy, BlobRedirects } from '#registry/http/blob-redirects.ts';
import { pushBlob } from '../registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '../registry/test-registry.ts';
import { s3Content } from './shared-s3.ts';

const text = '0123456789';
const stack = new AsyncDisposableStack();
let registry: TestRegistry;
let digest: Digest;
let path: string;

async function start(policy: BlobRedirectPolicy): Promise<TestRegistry> {
  const content = stack.use(await s3Content());
  return stack.use(await startTestRegistry({ content, redirects: new BlobRedirects(policy) }));
}

beforeAll(async () => {
  registry = await start({ mode: 'always', networks: [] });
  digest = await pushBlob(registry.client, 'redirect/me', text);
  path = `/v2/redirect/me/blobs/${digest}`;
});
afterAll(() => stack.disposeAsync());

const get = (headers: Record<string, string> = {}) => registry.client.send('GET', path, { headers });

it('sends a client to the store, which has the bytes', async () => {
  const answer = await get();
  expect([answer.status, answer.body.length]).toEqual([307, 0]);
  expect(answer.headers['docker-content-digest']).toBe(digest);
  const content = await fetch(answer.headers.location!);
  expect([content.status, await content.text()]).toEqual([200, text]);
  expect(content.headers.get('content-type')).toBe('application/octet-stream');
});

it.each([
  ['bytes=2-4', '234', 'bytes 2-4/10'],
  ['bytes=7-', '789', 'bytes 7-9/10'],
  ['bytes=-2', '89', 'bytes 8-9/10'],
  ['bytes=8-99', '89', 'bytes 8-9/10'],
])('sends a client with the range %s there too', async (range, expected, contentRange) => {
  const response = await fetch(`http://${registry.address}${path}`, { headers: { Range: range } });
  expect(response.redirected).toBe(true);
  expect([response.status, await response.text()]).toEqual([206, expected]);
  expect(response.headers.get('content-range')).toBe(contentRange);
});

it('answers by itself what the store would answer differently', async () => {
  expect((await registry.client.send('HEAD', path)).status).toBe(200);
  const several = await get({ Range: 'bytes=0-1,4-5' });
  expect([several.status, several.headers['content-type']]).toEqual([
    206,
    expect.stringMatching('multipart/byteranges'),
  ]);
  expect(several.body.toString()).toContain('\r\n\r\n45\r\n');
  const other = await get({ Range: 'bytes=0-1', 'If-Range': `"${digestOf('another')}"` });
  expect([other.status, other.body.toString()]).toEqual([200, text]);
  const same = await get({ Range: 'bytes=0-1', 'If-Range': `"${digest}"` });
  expect([same.status, same.body.toString()]).toEqual([206, '01']);
  expect((await get({ 'If-None-Match': `"${digest}"` })).status).toBe(304);
  expect((await get({ Range: 'bytes=10-' })).status).toBe(416);
  const unknown = await registry.client.send('GET', path.replace(digest, digestOf('unknown')));
  expect(unknown.status).toBe(404);
});

it.each([
  [{ mode: 'never', networks: [] }, 200],
  [{ mode: 'only', networks: ['127.0.0.0/8'] }, 307],
  [{ mode: 'only', networks: ['10.0.0.0/8', '127.0.0.2', 'fd00::/8'] }, 200],
  [{ mode: 'except', networks: ['127.0.0.1'] }, 200],
  [{ mode: 'except', networks: ['10.0.0.0/8'] }, 307],
] as const)('goes by the network of the client: %j', async (policy, status) => {
  const other = await start(policy);
  await pushBlob(other.client, 'redirect/me', text);
  expect((await other.client.send('GET', path)).status).toBe(status);
});

it('has no URLs for content on a disk', async () => {
  await using plain = await startTestRegistry({
    redirects: new BlobRedirects({ mode: 'always', networks: [] }),
    content: new MemoryContentStore(),
  });
  await pushBlob(plain.client, 'redirect/me', text);
  expect((await plain.client.send('GET', path)).body.toString()).toBe(text);
});
