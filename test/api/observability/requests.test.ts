import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { begin, pushBlob, pushImage } from '../../registry/distribution-client.ts';
import { type ObservedRegistry, startObservedRegistry } from '../../registry/observed-registry.ts';

let registry: ObservedRegistry;

beforeAll(async () => {
  registry = await startObservedRegistry();
});

afterAll(() => registry[Symbol.asyncDispose]());

const UUID = /^[0-9a-f-]{36}$/;

/** The answer is there before its end was noticed. */
const logged = (requestId: string) =>
  expect.poll(() => registry.lines.find((line) => line.requestId === requestId));

it('gives each request an id of its own', async () => {
  const [one, other] = [await registry.client.send('GET', '/v2/'), await registry.client.send('GET', '/v2/')];
  expect(one.headers['x-request-id']).toMatch(UUID);
  expect(other.headers['x-request-id']).not.toBe(one.headers['x-request-id']);
});

it('takes the id that a proxy gave it', async () => {
  const headers = { 'X-Request-Id': 'edge-7.42' };
  const answer = await registry.client.send('GET', '/v2/', { headers });
  expect(answer.headers['x-request-id']).toBe('edge-7.42');
});

it.each(['', 'with space', 'a'.repeat(129), 'semi;colon', '"quoted"'])(
  'takes no id that is not sane: %j',
  async (id) => {
    const answer = await registry.client.send('GET', '/v2/', { headers: { 'X-Request-Id': id } });
    expect(answer.headers['x-request-id']).toMatch(UUID);
  },
);

it('logs a request when it has ended, without its query', async () => {
  const headers = { 'X-Request-Id': 'logged-1', 'User-Agent': 'a-client/1' };
  await registry.client.send('GET', '/v2/nothing/manifests/here?secret=1', { headers });
  await logged('logged-1').toMatchObject({
    msg: 'request',
    method: 'GET',
    path: '/v2/nothing/manifests/here',
    status: 404,
    address: '127.0.0.1',
    principal: 'anonymous',
    userAgent: 'a-client/1',
  });
});

it('counts the bytes of a request and of its answer', async () => {
  const digest = await pushBlob(registry.client, 'observed/bytes', 'x'.repeat(50_000));
  const headers = { 'X-Request-Id': 'bytes-1' };
  await registry.client.send('GET', `/v2/observed/bytes/blobs/${digest}`, { headers });
  await logged('bytes-1').toMatchObject({ status: 200, bytesOut: expect.any(Number) });
  const line = registry.lines.find(({ requestId }) => requestId === 'bytes-1')!;
  expect(line.bytesOut).toBeGreaterThan(50_000);
  expect(line.bytesOut).toBeLessThan(51_000);
});

it.each(['end', 'resetAndDestroy'] as const)('takes no client for a fault that leaves by %s', async (way) => {
  const location = await begin(registry.client, 'observed/leaver');
  const [host, port] = registry.client.address.split(':');
  const socket = connect({ host, port: Number(port) });
  const id = `left-by-${way}`;
  socket.write(
    `PATCH ${location} HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\nContent-Length: 100\r\n\r\nhalf`,
  );
  const arrived = async () => (await registry.client.send('GET', location)).headers.range;
  await expect.poll(arrived).toBe('0-3');
  socket[way]();
  await logged(id).toMatchObject({ brokenOff: true });
  socket.destroy();
  // What goes wrong after an answer is told when it is.
  await registry.client.send('GET', '/v2/');
  expect(registry.lines.filter(({ level }) => Number(level) >= 40)).toEqual([]);
});

it('writes the id of a request that changed something into the audit log', async () => {
  const location = await begin(registry.client, 'observed/audit');
  const bytes = 'audited';
  const { digestOf } = await import('#oci/digest.ts');
  const headers = { 'X-Request-Id': 'audit-1' };
  await registry.client.send('PUT', `${location}?digest=${digestOf(bytes)}`, { body: bytes, headers });
  const event = await registry.db
    .selectFrom('events')
    .select(['action', 'repository'])
    .where('request_id', '=', 'audit-1')
    .executeTakeFirst();
  expect(event).toEqual({ action: 'blob.push', repository: 'observed/audit' });
});

it('measures requests by what they are about, and what they stand on', async () => {
  const { digest } = await pushImage(registry.client, 'observed/images', 'v1');
  await registry.client.send('GET', '/v2/observed/images/manifests/v1');
  await registry.client.send('GET', `/v2/observed/images/manifests/${digest}`);
  const cancelled = await begin(registry.client, 'observed/images');
  await registry.client.send('DELETE', cancelled);
  const request = 'slipway_http_request_duration_seconds_count';
  await expect.poll(() => registry.metric(`${request}{route="manifest",method="GET",status="2xx"}`)).toBe(2);
  expect(await registry.metric(`${request}{route="manifest",method="PUT",status="2xx"}`)).toBe(1);
  expect(await registry.metric('slipway_uploads_total{state="finished"}')).toBeGreaterThanOrEqual(2);
  await expect.poll(() => registry.metric('slipway_uploads_total{state="cancelled"}')).toBe(1);
  expect(await registry.metric('slipway_http_transferred_bytes_total{direction="in"}')).toBeGreaterThan(1000);
  const content = 'slipway_content_operation_duration_seconds_count';
  expect(await registry.metric(`${content}{operation="commit",outcome="done"}`)).toBeGreaterThanOrEqual(2);
  const database = 'slipway_database_operation_duration_seconds_count';
  expect(await registry.metric(`${database}{operation="insert",outcome="done"}`)).toBeGreaterThan(5);
});
