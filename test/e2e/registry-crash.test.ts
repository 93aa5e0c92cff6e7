import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { begin, DistributionClient, pushBlob } from '../registry/distribution-client.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** The registry is killed while blobs are on their way: nothing acknowledged is lost, and nothing stray is left. */

const bytes = Buffer.alloc(40_000_000).map((_, index) => (index * 13 + (index >> 10)) & 255);
const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

let slipway: Slipway;
let client: DistributionClient;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'registry' });
});
beforeEach(() => {
  client = new DistributionClient(slipway.registry);
});
afterAll(async () => {
  client?.close();
  await slipway?.[Symbol.asyncDispose]();
});

async function killAndStart(): Promise<void> {
  await slipway.stop('SIGKILL');
  client.close();
  await slipway.start();
}

function files(of: 'content' | 'ingest'): string[] {
  const folder = join(slipway.dataDir, 'registry/blobs', of);
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Sends the first part of a body that announces more, and holds the connection. */
function sendPart(method: string, path: string, part: Uint8Array): void {
  const [host, port] = slipway.registry.split(':');
  const headers = { 'Content-Length': bytes.length };
  const sent = request({ host, port, method, path, headers });
  sent.on('error', () => {});
  sent.write(part);
}

const stored = () => files('ingest').reduce((sum, file) => sum + statSync(file).size, 0);

it('goes on with an upload where the killed process left it', async () => {
  const location = await begin(client, 'crash/resumed');
  const acknowledged = await client.send('PATCH', location, { body: bytes.subarray(0, 5_000_000) });
  expect(acknowledged.headers.range).toBe('0-4999999');
  sendPart('PATCH', location, bytes.subarray(5_000_000, 25_000_000));
  await expect.poll(stored, { timeout: 60_000 }).toBeGreaterThan(15_000_000);
  await killAndStart();

  const offset = Number((await client.send('GET', location)).headers.range!.split('-')[1]) + 1;
  expect(offset).toBeGreaterThan(5_000_000);
  const headers = { 'Content-Range': `${offset}-${bytes.length - 1}` };
  const rest = await client.send('PUT', `${location}?digest=${digest}`, {
    body: bytes.subarray(offset),
    headers,
  });
  expect(rest.status).toBe(201);
  const pulled = await client.send('GET', `/v2/crash/resumed/blobs/${digest}`);
  expect(pulled.body.equals(bytes)).toBe(true);
  expect(files('ingest')).toEqual([]);
  await client.send('DELETE', `/v2/crash/resumed/blobs/${digest}`);
});

it('removes what a push without a session left, and takes it again', async () => {
  const other = Buffer.from(bytes).fill(7, 0, 10);
  const wanted = `sha256:${createHash('sha256').update(other).digest('hex')}`;
  const before = files('content');
  sendPart('POST', `/v2/crash/retried/blobs/uploads/?digest=${wanted}`, other.subarray(0, 20_000_000));
  await expect.poll(stored, { timeout: 60_000 }).toBeGreaterThan(15_000_000);
  await killAndStart();
  expect(files('ingest')).toEqual([]);
  expect((await client.send('HEAD', `/v2/crash/retried/blobs/${wanted}`)).status).toBe(404);
  expect(await pushBlob(client, 'crash/retried', other)).toBe(wanted);
  expect(files('content')).toHaveLength(before.length + 1);
});

it('has every blob that it acknowledged, and no more content than that', async () => {
  const before = files('content').length;
  const acknowledged: string[] = [];
  let killed = false;
  const pushers = Array.from({ length: 4 }, async (_, pusher) => {
    const own = new DistributionClient(slipway.registry);
    for (let number = 0; !killed; number++) {
      const blob = Buffer.alloc(200_000, `${pusher} ${number} `);
      await pushBlob(own, 'crash/many', blob).then(
        (it) => acknowledged.push(it),
        () => {},
      );
    }
    own.close();
  });
  await expect.poll(() => acknowledged.length, { timeout: 60_000 }).toBeGreaterThan(20);
  await slipway.stop('SIGKILL');
  killed = true;
  await Promise.all(pushers);
  await slipway.start();
  client.close();

  for (const blob of acknowledged) {
    const answer = await client.send('GET', `/v2/crash/many/blobs/${blob}`);
    expect(`sha256:${createHash('sha256').update(answer.body).digest('hex')}`).toBe(blob);
  }
  // A push may have been recorded without its answer having been sent: one a pusher at most.
  await expect
    .poll(() => files('content').length - before, { timeout: 60_000 })
    .toBeLessThanOrEqual(acknowledged.length + 4);
  expect(files('content').length - before).toBeGreaterThanOrEqual(acknowledged.length);
});
