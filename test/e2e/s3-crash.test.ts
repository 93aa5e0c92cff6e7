import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { begin, DistributionClient, pushBlob, pushImage } from '../registry/distribution-client.ts';
import { s3Environment } from '../s3/s3-environment.ts';
import { S3Proxy } from '../s3/s3-proxy.ts';
import { sharedS3 } from '../s3/shared-s3.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** kill -9 of a registry over S3: what it acknowledged is there, an upload goes on where it was. */

const MIB = 2 ** 20;
const stack = new AsyncDisposableStack();
let proxy: S3Proxy;
let slipway: Slipway;
let client: DistributionClient;

beforeAll(async () => {
  const access = await sharedS3();
  proxy = stack.use(await S3Proxy.start(access.endpoint));
  const env = s3Environment({ ...access, endpoint: proxy.endpoint }, { prefix: `e2e/${randomUUID()}` });
  slipway = stack.use(await startSlipway({ command: 'registry', env }));
  client = new DistributionClient(slipway.registry);
});
afterAll(async () => {
  client?.close();
  await stack.disposeAsync();
});

async function killAndStart(): Promise<void> {
  await slipway.stop('SIGKILL');
  client.close();
  await slipway.start();
}

/** Begins to send a body that is not going to end; resolves when S3 has got something of it. */
async function sendPart(location: string, part: Buffer): Promise<void> {
  const partsBefore = proxy.requests.filter(({ operation }) => operation === 'UploadPart').length;
  async function* body() {
    yield part;
    await new Promise<never>(() => {});
  }
  client.send('PATCH', location, { body: body() }).catch(() => {});
  await expect
    .poll(() => proxy.requests.filter(({ operation }) => operation === 'UploadPart').length, {
      timeout: 60_000,
    })
    .toBeGreaterThan(partsBefore);
}

it('in the middle of a chunk: goes on behind what was acknowledged', async () => {
  const bytes = randomBytes(40 * MIB);
  const location = await begin(client, 'crash/resumed');
  const headers = { 'Content-Range': `0-${6 * MIB - 1}` };
  const first = await client.send('PATCH', location, { body: bytes.subarray(0, 6 * MIB), headers });
  expect(first.headers.range).toBe(`0-${6 * MIB - 1}`);
  await sendPart(location, bytes.subarray(6 * MIB, 34 * MIB));
  await killAndStart();

  const offset = Number((await client.send('GET', location)).headers.range!.split('-')[1]) + 1;
  expect(offset).toBeGreaterThanOrEqual(6 * MIB);
  const rest = await client.send('PUT', `${location}?digest=${digestOf(bytes)}`, {
    body: bytes.subarray(offset),
  });
  expect(rest.status).toBe(201);
  const pulled = await client.send('GET', `/v2/crash/resumed/blobs/${digestOf(bytes)}`);
  expect(pulled.body.equals(bytes)).toBe(true);
});

it('between the last chunk and the end: the end is all that is left to do', async () => {
  for (const size of [1000, 17 * MIB]) {
    const bytes = randomBytes(size);
    const location = await begin(client, 'crash/ended');
    expect((await client.send('PATCH', location, { body: bytes })).status).toBe(202);
    await killAndStart();
    expect((await client.send('PUT', `${location}?digest=${digestOf(bytes)}`)).status).toBe(201);
    const pulled = await client.send('GET', `/v2/crash/ended/blobs/${digestOf(bytes)}`);
    expect(pulled.body.equals(bytes)).toBe(true);
  }
});

it('after pushes: every one that was acknowledged is whole', async () => {
  const acknowledged: string[] = [];
  let killed = false;
  const pushers = Array.from({ length: 3 }, async (_, pusher) => {
    const own = new DistributionClient(slipway.registry);
    for (let number = 0; !killed; number++) {
      const blob = Buffer.alloc(number % 3 === 2 ? 6 * MIB : 50_000, `${pusher} ${number} `);
      await pushBlob(own, 'crash/many', blob).then(
        (digest) => acknowledged.push(digest),
        () => {},
      );
    }
    own.close();
  });
  await expect.poll(() => acknowledged.length, { timeout: 60_000 }).toBeGreaterThan(15);
  await slipway.stop('SIGKILL');
  killed = true;
  await Promise.all(pushers);
  await slipway.start();
  client.close();
  for (const digest of acknowledged) {
    const answer = await client.send('GET', `/v2/crash/many/blobs/${digest}`);
    expect(answer.status).toBe(200);
    expect(digestOf(answer.body)).toBe(digest);
  }
  await pushImage(client, 'crash/many', 'after');
});

it('starts while S3 is away, is not ready, and has everything again when it is back', async () => {
  const bytes = randomBytes(1000);
  const digest = await pushBlob(client, 'crash/away', bytes);
  await slipway.stop('SIGTERM');
  client.close();
  await proxy.refuse();
  await slipway.start();
  const ready = async () => (await client.send('GET', '/readyz')).status;
  expect(await ready()).toBe(503);
  const blob = `/v2/crash/away/blobs/${digest}`;
  expect([await client.send('HEAD', blob), await client.send('GET', blob)]).toMatchObject([
    { status: 200 },
    { status: 503 },
  ]);
  await proxy.resume();
  await expect.poll(ready, { timeout: 60_000 }).toBe(200);
  expect((await client.send('GET', blob)).body.equals(bytes)).toBe(true);
});

it('does not start on a bucket that refuses', async () => {
  const env = s3Environment({ ...(await sharedS3()), bucket: 'nobody-s-bucket' }, { prefix: 'e2e' });
  await expect(startSlipway({ command: 'registry', env })).rejects.toThrow(/nobody-s-bucket cannot be used/);
});
