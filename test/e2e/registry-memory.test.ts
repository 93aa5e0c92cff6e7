import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { begin, DistributionClient } from '../registry/distribution-client.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** The registry's memory does not grow with the size of what passes through it. */

const LIMIT = 200 * 2 ** 20;
const SIZE = 1280 * 2 ** 20;
const chunk = Buffer.alloc(2 ** 20).map((_, index) => (index * 7 + (index >> 8)) & 255);

let slipway: Slipway;
let client: DistributionClient;
beforeAll(async () => {
  slipway = await startSlipway({ command: 'registry' });
  client = new DistributionClient(slipway.registry);
});
afterAll(async () => {
  client?.close();
  await slipway?.[Symbol.asyncDispose]();
});

/** The most that the registry's process ever had in memory, in bytes. */
function peak(): number {
  const status = readFileSync(`/proc/${slipway.rolePid('registry')}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

function* content() {
  for (let sent = 0; sent < SIZE; sent += chunk.length) yield chunk;
}

async function* body() {
  yield* content();
}

it('pushes and pulls a blob of more than a gigabyte', async () => {
  const hash = createHash('sha256');
  for (const part of content()) hash.update(part);
  const digest = `sha256:${hash.digest('hex')}`;

  const location = await begin(client, 'memory/large');
  expect((await client.send('PATCH', location, { body: body() })).status).toBe(202);
  expect((await client.send('PUT', `${location}?digest=${digest}`)).status).toBe(201);
  expect(peak()).toBeLessThan(LIMIT);

  expect(await pulledHash(`/v2/memory/large/blobs/${digest}`)).toBe(digest);
  expect(peak()).toBeLessThan(LIMIT);
});

function pulledHash(path: string): Promise<string> {
  const [host, port] = slipway.registry.split(':');
  const hash = createHash('sha256');
  return new Promise((resolve, reject) => {
    const sent = request({ host, port, path, agent: false }, (response) => {
      response.on('data', (data) => hash.update(data));
      response.on('end', () => resolve(`sha256:${hash.digest('hex')}`));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

it('serves a crowd of readers that do not read', async () => {
  const digest = `sha256:${createHash('sha256').update(chunk).digest('hex')}`;
  const put = await client.send('POST', `/v2/memory/crowd/blobs/uploads/?digest=${digest}`, { body: chunk });
  expect(put.status).toBe(201);
  const [host, port] = slipway.registry.split(':');
  const readers = await Promise.all(
    Array.from(
      { length: 200 },
      () =>
        new Promise<{ destroy(): void }>((resolve, reject) => {
          const sent = request({ host, port, path: `/v2/memory/crowd/blobs/${digest}`, agent: false });
          sent.once('response', (response) => resolve(response.pause()));
          sent.once('error', reject);
          sent.end();
        }),
    ),
  );
  expect(peak()).toBeLessThan(LIMIT);
  for (const reader of readers) reader.destroy();
});

it('bears a crowd of half-open pushes', async () => {
  const [host, port] = slipway.registry.split(':');
  const half = Buffer.alloc(900_000, '{"a":');
  const senders = await Promise.all(
    Array.from({ length: 150 }, async (_, index) => {
      // Every other one is a manifest, which is gathered until it is whole.
      const manifest = index % 2 === 0;
      const path = manifest ? `/v2/memory/half/manifests/t${index}` : await begin(client, 'memory/half');
      const method = manifest ? 'PUT' : 'PATCH';
      const headers = { 'Content-Length': 4_000_000 };
      const sent = request({ host, port, path, method, headers, agent: false });
      sent.on('error', () => {});
      await new Promise((resolve) => sent.write(half, resolve));
      return sent;
    }),
  );
  expect((await client.send('GET', '/v2/')).status).toBe(200);
  expect(peak()).toBeLessThan(LIMIT + 128 * 2 ** 20);
  for (const sender of senders) sender.destroy();
});
