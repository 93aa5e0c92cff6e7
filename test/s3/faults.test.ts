import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { begin, errorCode, pushBlob, pushImage } from '../registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '../registry/test-registry.ts';
import { type Fault, S3Proxy } from './s3-proxy.ts';
import { s3Content, sharedS3 } from './shared-s3.ts';

/** An S3 that refuses, fails, stalls or breaks off: clear answers meanwhile, nothing lost, all well afterwards. */

const MIB = 2 ** 20;
const stack = new AsyncDisposableStack();
let proxy: S3Proxy;
let registry: TestRegistry;

beforeAll(async () => {
  proxy = stack.use(await S3Proxy.start((await sharedS3()).endpoint));
  const patience = { attempts: 4, connectTimeout: 2000, idleTimeout: 2000 };
  const content = stack.use(await s3Content({ endpoint: proxy.endpoint, ...patience }));
  registry = stack.use(await startTestRegistry({ content }));
});
afterAll(() => stack.disposeAsync());
afterEach(() => proxy.heal());

const send: TestRegistry['client']['send'] = (...request) => registry.client.send(...request);

let blobs = 0;
const blob = (length: number) => Buffer.alloc(length, `a blob of its own ${++blobs} `);

async function expectStored(bytes: Buffer): Promise<void> {
  const answer = await send('GET', `/v2/s3/faults/blobs/${digestOf(bytes)}`);
  expect(answer.status).toBe(200);
  expect(answer.body.equals(bytes)).toBe(true);
}

/** What has been begun and neither ended nor cleaned up. */
async function ingests(): Promise<number> {
  let count = 0;
  for await (const _ of registry.content.ingests()) count++;
  return count;
}

const status = (code: number): Fault => ({
  kind: 'status',
  status: code,
  code: code === 503 ? 'SlowDown' : 'InternalError',
});

it.each([
  ['ListMultipartUploads', status(503)],
  ['CreateMultipartUpload', status(500)],
  ['CreateMultipartUpload', { kind: 'lost-answer' }],
  ['UploadPart', status(503)],
  ['UploadPart', { kind: 'cut-request', after: 1_000_000 }],
  ['UploadPart', { kind: 'lost-answer' }],
  ['UploadPart', { kind: 'slow', milliseconds: 4000 }],
  ['CompleteMultipartUpload', status(500)],
  ['CompleteMultipartUpload', { kind: 'lost-answer' }],
] as const)('pushes in spite of one bad %s: %j', async (operation, fault) => {
  const bytes = blob(16 * MIB);
  proxy.breakNext(operation, fault);
  await pushBlob(registry.client, 's3/faults', bytes);
  await expectStored(bytes);
});

it.each([status(503), { kind: 'lost-answer' }, { kind: 'cut-request', after: 500 }] as const)(
  'pushes a small blob in spite of one bad PutObject: %j',
  async (fault) => {
    const bytes = blob(2000);
    proxy.breakNext('PutObject', fault);
    await pushBlob(registry.client, 's3/faults', bytes);
    await expectStored(bytes);
  },
);

it.each([status(503), status(403), { kind: 'lost-answer' }, { kind: 'slow', milliseconds: 4000 }] as const)(
  'gets in spite of one bad GetObject: %j',
  async (fault) => {
    const bytes = blob(2_000_000);
    await pushBlob(registry.client, 's3/faults', bytes);
    proxy.breakNext('GetObject', fault);
    await expectStored(bytes);
  },
);

it('goes on with a download that breaks off, without the client noticing', async () => {
  const bytes = Buffer.from(Buffer.alloc(9 * MIB).map((_, index) => (index * 7 + (index >> 10)) & 255));
  await pushBlob(registry.client, 's3/faults', bytes);
  for (const after of [0, 1, 3_000_000]) {
    proxy.breakNext('GetObject', { kind: 'cut-answer', after }, 2);
    await expectStored(bytes);
  }
  const headers = { Range: 'bytes=1000000-7999999' };
  proxy.breakNext('GetObject', { kind: 'cut-answer', after: 2_000_000 });
  const part = await send('GET', `/v2/s3/faults/blobs/${digestOf(bytes)}`, { headers });
  expect(part.body.equals(bytes.subarray(1_000_000, 8_000_000))).toBe(true);
});

it('breaks off when S3 goes on breaking off, rather than end too early', async () => {
  const bytes = blob(2 * MIB);
  await pushBlob(registry.client, 's3/faults', bytes);
  proxy.breakBy((operation) => (operation === 'GetObject' ? { kind: 'cut-answer', after: 0 } : undefined));
  await expect(send('GET', `/v2/s3/faults/blobs/${digestOf(bytes)}`)).rejects.toThrow();
  proxy.heal();
  await expectStored(bytes);
});

it('says 503 while S3 refuses connections, serves what it knows, and recovers', async () => {
  const old = blob(1000);
  await pushBlob(registry.client, 's3/faults', old);
  const image = await pushImage(registry.client, 's3/faults', 'tag');
  await proxy.refuse();
  try {
    const pull = await send('GET', `/v2/s3/faults/blobs/${digestOf(old)}`);
    expect([pull.status, errorCode(pull)]).toEqual([503, 'UNAVAILABLE']);
    const push = await send('POST', `/v2/s3/faults/blobs/uploads/?digest=${digestOf(blob(10))}`, {
      body: blob(10),
    });
    expect([push.status, errorCode(push)]).toEqual([503, 'UNAVAILABLE']);
    expect((await send('GET', '/v2/s3/faults/manifests/tag')).body.toString()).toBe(image.payload);
    expect((await send('HEAD', `/v2/s3/faults/blobs/${digestOf(old)}`)).status).toBe(200);
  } finally {
    await proxy.resume();
  }
  await expectStored(old);
  const next = blob(6 * MIB);
  await pushBlob(registry.client, 's3/faults', next);
  await expectStored(next);
});

it('keeps what it acknowledged of an upload through an outage', async () => {
  const bytes = blob(20 * MIB);
  const location = await begin(registry.client, 's3/faults');
  const first = await send('PATCH', location, { body: bytes.subarray(0, 7 * MIB) });
  expect(first.headers.range).toBe(`0-${7 * MIB - 1}`);

  proxy.breakBy((operation) => (operation.startsWith('UploadPart') ? status(503) : undefined));
  const failed = await send('PATCH', location, { body: bytes.subarray(7 * MIB) });
  expect([failed.status, errorCode(failed)]).toEqual([503, 'UNAVAILABLE']);
  await proxy.refuse();
  expect((await send('PUT', `${location}?digest=${digestOf(bytes)}`)).status).toBe(503);
  await proxy.resume();
  proxy.heal();

  const where = await send('GET', location);
  expect(where.status).toBe(204);
  const offset = Number(where.headers.range!.split('-')[1]) + 1;
  expect(offset).toBeGreaterThanOrEqual(7 * MIB);
  expect((await send('PATCH', location, { body: bytes.subarray(offset) })).status).toBe(202);
  proxy.breakNext('CompleteMultipartUpload', status(500), 99);
  expect((await send('PUT', `${location}?digest=${digestOf(bytes)}`)).status).toBe(503);
  proxy.heal();
  expect((await send('PUT', `${location}?digest=${digestOf(bytes)}`)).status).toBe(201);
  await expectStored(bytes);
});

it('leaves nothing begun but what a lost answer left, which goes without harm to the blob', async () => {
  const bytes = blob(16 * MIB);
  proxy.breakNext('CreateMultipartUpload', { kind: 'lost-answer' });
  await pushBlob(registry.client, 's3/faults', bytes);
  expect(await ingests()).toBeGreaterThan(0);
  const now = new Date(Date.now() + 60_000);
  await registry.registry.reconciler.expireUploads({ idleSince: now, strayBefore: now });
  expect(await ingests()).toBe(0);
  await expectStored(bytes);
});
