import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { begin, pushBlob } from '../registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '../registry/test-registry.ts';
import { S3Proxy } from './s3-proxy.ts';
import { s3Content, sharedS3 } from './shared-s3.ts';

/** What a push costs in requests: each byte of a blob goes to S3 once, nothing is copied and nothing read back. */

const MIB = 2 ** 20;
const stack = new AsyncDisposableStack();
let proxy: S3Proxy;
let registry: TestRegistry;

beforeAll(async () => {
  proxy = stack.use(await S3Proxy.start((await sharedS3()).endpoint));
  const content = stack.use(await s3Content({ endpoint: proxy.endpoint }));
  registry = stack.use(await startTestRegistry({ content }));
});
afterAll(() => stack.disposeAsync());
beforeEach(() => proxy.requests.splice(0));

const send: TestRegistry['client']['send'] = (...request) => registry.client.send(...request);

/** Different bytes for every blob, so that none is there already. */
let blobs = 0;
function blob(length: number): Buffer {
  const bytes = Buffer.alloc(length, `blob ${++blobs} `);
  return bytes;
}

async function* streamed(bytes: Uint8Array) {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

/** As docker, podman, skopeo and crane push: one PATCH with all bytes, then PUT. */
async function pushStream(bytes: Buffer): Promise<void> {
  const location = await begin(registry.client, 's3/requests');
  expect((await send('PATCH', location, { body: streamed(bytes) })).status).toBe(202);
  expect((await send('PUT', `${location}?digest=${digestOf(bytes)}`)).status).toBe(201);
}

/** As oras and Slipway's worker may: everything in POST. */
async function pushSingle(bytes: Buffer): Promise<void> {
  const answer = await send('POST', `/v2/s3/requests/blobs/uploads/?digest=${digestOf(bytes)}`, {
    body: bytes,
  });
  expect(answer.status).toBe(201);
}

/** As containerd and buildkit push: everything in PUT. */
async function pushPut(bytes: Buffer): Promise<void> {
  await pushBlob(registry.client, 's3/requests', bytes);
}

const pushes = { 'PATCH and PUT': pushStream, POST: pushSingle, 'POST and PUT': pushPut };
const sizes = [2_000, 3 * MIB, 10 * MIB, 26 * MIB + 5];

it.each(Object.keys(pushes).flatMap((way) => sizes.map((size) => [way, size] as const)))(
  'sends a blob by %s of %d bytes once',
  async (way, size) => {
    const bytes = blob(size);
    await pushes[way as keyof typeof pushes](bytes);
    const data = proxy.requests.filter(({ operation }) => /^(PutObject|UploadPart)$/.test(operation));
    expect(data.reduce((sum, request) => sum + request.bytes, 0)).toBe(size);
    const counts = proxy.counts();
    for (const never of [
      'GetObject',
      'CopyObject',
      'UploadPartCopy',
      'DeleteObjects',
      'AbortMultipartUpload',
    ])
      expect(counts, never).not.toHaveProperty(never);
  },
);

it('takes two requests for a small blob in one request', async () => {
  await pushPut(blob(2_000));
  expect(proxy.counts()).toEqual({ ListMultipartUploads: 1, PutObject: 1 });
});

it('takes five for a small blob as docker sends it', async () => {
  await pushStream(blob(2_000));
  expect(proxy.counts()).toEqual({
    ListMultipartUploads: 2,
    CreateMultipartUpload: 1,
    UploadPart: 1,
    ListParts: 1,
    ListObjects: 1,
    CompleteMultipartUpload: 1,
  });
});

it('looks at nothing but metadata for HEAD, and once at S3 for GET', async () => {
  const digest = await pushBlob(registry.client, 's3/requests', blob(1000));
  proxy.counts();
  expect((await send('HEAD', `/v2/s3/requests/blobs/${digest}`)).status).toBe(200);
  expect(proxy.counts()).toEqual({});
  const headers = { Range: 'bytes=10-19' };
  expect((await send('GET', `/v2/s3/requests/blobs/${digest}`, { headers })).body).toHaveLength(10);
  expect(proxy.counts()).toEqual({ GetObject: 1 });
});

it('asks for chunks that make a part, which then cost no more than a stream', async () => {
  const bytes = blob(18 * MIB);
  const post = await send('POST', '/v2/s3/requests/blobs/uploads/');
  expect(post.headers['oci-chunk-min-length']).toBe(String(5 * MIB));
  const location = post.headers.location!;
  for (let at = 0; at < bytes.length; at += 6 * MIB) {
    const chunk = bytes.subarray(at, at + 6 * MIB);
    const headers = { 'Content-Range': `${at}-${at + chunk.length - 1}` };
    expect((await send('PATCH', location, { body: chunk, headers })).status).toBe(202);
  }
  expect((await send('PUT', `${location}?digest=${digestOf(bytes)}`)).status).toBe(201);
  const sent = proxy.requests.reduce(
    (sum, { operation, bytes: size }) => sum + (operation === 'UploadPart' ? size : 0),
    0,
  );
  expect(sent).toBe(bytes.length);
  expect(proxy.counts()).not.toHaveProperty('PutObject');
});
