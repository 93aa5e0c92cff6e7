import { expect, it } from 'vitest';
import type { S3Bucket } from '#content/s3-bucket.ts';
import { createS3Client } from '#content/s3-client.ts';
import { S3Direct } from '#content/s3-direct.ts';
import { S3Downloads } from '#content/s3-downloads.ts';
import { S3Proxy } from './s3-proxy.ts';
import { s3Content, s3Settings, sharedS3 } from './shared-s3.ts';

/** What is got without AWS's library in between, and when that is asked all the same. */

const MIB = 2 ** 20;
const bytes = Buffer.alloc(3 * MIB).map((_, index) => (index * 13 + (index >> 8)) & 255);

async function setUp() {
  await using made = new AsyncDisposableStack();
  const access = await sharedS3();
  const content = made.use(await s3Content({ prefix: 'downloads' }));
  const writer = await content.writer('an/object');
  await writer.write(bytes);
  await writer.commit();
  const proxy = made.use(await S3Proxy.start(access.endpoint));
  const settings = s3Settings(access, { endpoint: proxy.endpoint });
  const client = createS3Client(settings);
  made.defer(() => client.destroy());
  let asked = 0;
  const bucket = {
    get: () => {
      asked++;
      throw new Error('the library was asked');
    },
  } as unknown as S3Bucket;
  const direct = made.use(new S3Direct({ client, settings }));
  const downloads = new S3Downloads({ direct, bucket });
  const all = made.move();
  return {
    downloads,
    proxy,
    key: 'downloads/content/an/object',
    asked: () => asked,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

it.each([
  undefined,
  { start: 0, end: 0 },
  { start: 1_000_000, end: 2_999_999 },
  { start: 3 * MIB - 5, end: 3 * MIB + 100 },
])('gets an object, or a range of it, in one request of its own: %j', async (range) => {
  await using world = await setUp();
  const download = await world.downloads.open(world.key, { range });
  expect(download.size).toBe(bytes.length);
  const chunks: Buffer[] = [];
  for await (const chunk of download.body) chunks.push(Buffer.from(chunk));
  const { start, end } = range ?? { start: 0, end: bytes.length };
  expect(Buffer.concat(chunks).equals(bytes.subarray(start, end + 1))).toBe(true);
  expect(world.proxy.counts()).toEqual({ GetObject: 1 });
  const same = await world.downloads.open(world.key, { range, etag: download.etag });
  same.body.destroy();
  expect(world.asked()).toBe(0);
});

it('asks the library when the object is not there, or another one, or not to be had', async () => {
  await using world = await setUp();
  await expect(world.downloads.open(`${world.key}s`)).rejects.toThrow('the library');
  await expect(world.downloads.open(world.key, { etag: '"another"' })).rejects.toThrow('the library');
  await world.proxy.refuse();
  await expect(world.downloads.open(world.key)).rejects.toThrow('the library');
  await world.proxy.resume();
  (await world.downloads.open(world.key)).body.destroy();
  expect(world.asked()).toBe(3);
});

it('asks nobody but the library for a while where a signature is not enough', async () => {
  await using world = await setUp();
  world.proxy.breakNext('GetObject', { kind: 'status', status: 403, code: 'AccessDenied' });
  for (let count = 0; count < 3; count++)
    await expect(world.downloads.open(world.key)).rejects.toThrow('the library');
  expect(world.proxy.counts()).toEqual({ GetObject: 1 });
});
