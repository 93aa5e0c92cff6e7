import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { json, pushBlob, pushImage } from '#test/registry/distribution-client.ts';
import { inBackground } from '#test/registry/test-federation.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';
import { verifies, WebhookReceiver } from '#test/registry/webhook-receiver.ts';

let registry: TestRegistry;
let background: AsyncDisposable;
let receiver: WebhookReceiver;

beforeAll(async () => {
  registry = await startTestRegistry({ federation: { webhooks: { timeout: 300 } } });
  background = inBackground((signal) => registry.federation.runner.run(signal));
});
afterAll(async () => {
  await background[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});
beforeEach(async () => {
  receiver = await WebhookReceiver.start();
});
afterEach(() => receiver[Symbol.asyncDispose]());

interface Webhook {
  id: string;
  secret: string;
  enabled: boolean;
}
interface Delivery {
  id: number;
  state: string;
  attempts: number;
  result: string;
  event: { action: string };
}

const api = async (method: string, path: string, body?: object) => {
  const headers = { 'Content-Type': 'application/json' };
  const answer = await registry.client.send(method, `/api/v1${path}`, {
    ...(body && { body: JSON.stringify(body), headers }),
  });
  return { status: answer.status, body: answer.body.length > 0 ? json(answer) : undefined } as {
    status: number;
    // biome-ignore lint/suspicious/noExplicitAny: as the test knows it
    body: any;
  };
};
const create = async (settings: object): Promise<Webhook> => {
  const { status, body } = await api('POST', '/webhooks', { url: receiver.url, ...settings });
  expect(status).toBe(201);
  return body;
};
const deliveries = async ({ id }: Webhook): Promise<Delivery[]> =>
  (await api('GET', `/webhooks/${id}/deliveries`)).body.items;
const settled = async (webhook: Webhook, count: number): Promise<Delivery[]> => {
  for (;;) {
    const found = await deliveries(webhook);
    if (found.filter(({ state }) => state !== 'pending').length >= count) return found;
    await sleep(20);
  }
};

it('tells of a push as a CloudEvent, signed', async () => {
  const webhook = await create({ repositories: ['hooks/cloud'], actions: ['manifest.push'] });
  const { digest, payload } = await pushImage(registry.client, 'hooks/cloud', 'v1');
  const [received] = await receiver.until(1);
  expect(received!.headers['content-type']).toBe('application/cloudevents+json');
  expect(JSON.parse(received!.body)).toEqual({
    specversion: '1.0',
    id: expect.stringMatching(/^\d+$/),
    source: 'https://registry.example',
    type: 'io.slipway.manifest.push',
    subject: `hooks/cloud:v1@${digest}`,
    time: expect.stringMatching(/^20..-/),
    datacontenttype: 'application/json',
    data: {
      action: 'manifest.push',
      repository: 'hooks/cloud',
      digest,
      tag: 'v1',
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      size: payload.length,
      actor: 'anonymous',
    },
  });
  expect(verifies(received!, webhook.secret)).toBe(true);
  expect(verifies({ ...received!, body: `${received!.body} ` }, webhook.secret)).toBe(false);
});

it('tells of pushes, mounts and deletes as notifications of distribution', async () => {
  await create({ repositories: ['hooks/notified'], format: 'distribution' });
  const { digest } = await pushImage(registry.client, 'hooks/notified', 'v1');
  const elsewhere = await pushBlob(registry.client, 'hooks/elsewhere', 'mounted');
  const mount = `/v2/hooks/notified/blobs/uploads/?mount=${elsewhere}&from=hooks/elsewhere`;
  await registry.client.send('POST', mount);
  await registry.client.send('DELETE', '/v2/hooks/notified/manifests/v1');
  await registry.client.send('DELETE', `/v2/hooks/notified/manifests/${digest}`);
  const received = await receiver.until(6);
  expect(received[0]!.headers['content-type']).toBe('application/vnd.docker.distribution.events.v2+json');
  const events = received.map(({ body }) => JSON.parse(body).events[0]);
  events.sort((a, b) => Number(a.id) - Number(b.id));
  expect(events.map(({ action, target }) => [action, target.repository, target.tag])).toEqual([
    ['push', 'hooks/notified', undefined],
    ['push', 'hooks/notified', undefined],
    ['push', 'hooks/notified', 'v1'],
    ['mount', 'hooks/notified', undefined],
    ['delete', 'hooks/notified', 'v1'],
    ['delete', 'hooks/notified', undefined],
  ]);
  expect(events[2].target.url).toBe(`https://registry.example/v2/hooks/notified/manifests/${digest}`);
  expect(events[3].target.fromRepository).toBe('hooks/elsewhere');
});

it('tells of nothing else', async () => {
  const webhook = await create({ repositories: ['hooks/only/*'], actions: ['tag.*'] });
  await pushImage(registry.client, 'hooks/other', 'v1');
  await pushImage(registry.client, 'hooks/only/a', 'v1');
  await registry.client.send('DELETE', '/v2/hooks/other/manifests/v1');
  await registry.client.send('DELETE', '/v2/hooks/only/a/manifests/v1');
  expect((await settled(webhook, 1)).map(({ event }) => event.action)).toEqual(['tag.delete']);
});

it('tries again until it is taken, with the same id', async () => {
  let tries = 0;
  receiver.react = () => (++tries < 3 ? 503 : 200);
  const webhook = await create({ repositories: ['hooks/retried'], actions: ['manifest.push'] });
  await pushImage(registry.client, 'hooks/retried', 'v1');
  const [delivery] = await settled(webhook, 1);
  expect(delivery).toMatchObject({ state: 'delivered', attempts: 3, result: 'HTTP 200' });
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  expect(receiver.received.every((it) => verifies(it, webhook.secret))).toBe(true);
});

it('gives up after the last attempt, and delivers when it is asked to', async () => {
  receiver.react = () => 'silence';
  const webhook = await create({ repositories: ['hooks/dead'], actions: ['manifest.push'] });
  await pushImage(registry.client, 'hooks/dead', 'v1');
  const [dead] = await settled(webhook, 1);
  expect(dead).toMatchObject({ state: 'dead', attempts: 4, result: 'no answer within 0.3 seconds' });
  receiver.react = () => 200;
  expect((await api('POST', `/webhooks/${webhook.id}/deliveries/${dead!.id}/redeliver`)).status).toBe(204);
  await receiver.until(5);
  expect((await settled(webhook, 1))[0]).toMatchObject({ state: 'delivered', attempts: 1 });
  expect((await api('POST', `/webhooks/${webhook.id}/deliveries/0/redeliver`)).status).toBe(404);
});

it('does not hold up one webhook for another', async () => {
  await using quick = await WebhookReceiver.start();
  receiver.react = () => 'silence';
  await create({ repositories: ['hooks/slow'] });
  await create({ repositories: ['hooks/slow'], url: quick.url, actions: ['manifest.push'] });
  for (let i = 0; i < 8; i++)
    await pushImage(registry.client, 'hooks/slow', `v${i}`, { annotations: { i: `${i}` } });
  expect(await quick.until(8)).toHaveLength(8);
});

it('disables a webhook whose receiver is gone', async () => {
  receiver.react = () => 410;
  const webhook = await create({ repositories: ['hooks/gone'], actions: ['manifest.push'] });
  await pushImage(registry.client, 'hooks/gone', 'v1');
  await settled(webhook, 1);
  expect((await api('GET', `/webhooks/${webhook.id}`)).body.enabled).toBe(false);
});

it('does not follow redirects', async () => {
  await using target = await WebhookReceiver.start();
  receiver.react = () => ({ status: 307, headers: { Location: target.url } });
  const { id } = await create({ repositories: ['hooks/redirected'] });
  expect((await api('POST', `/webhooks/${id}/ping`)).body).toEqual({ delivered: false, result: 'HTTP 307' });
  expect(target.received).toHaveLength(0);
});

it('signs with both secrets after a change', async () => {
  const webhook = await create({ repositories: ['hooks/none'] });
  const { body } = await api('POST', `/webhooks/${webhook.id}/secret`, {});
  expect((await api('POST', `/webhooks/${webhook.id}/ping`)).body).toEqual({
    delivered: true,
    result: 'HTTP 204',
  });
  const [ping] = receiver.received;
  expect(body.secret).not.toBe(webhook.secret);
  expect([webhook.secret, body.secret].map((secret) => verifies(ping!, secret))).toEqual([true, true]);
  expect((await api('GET', `/webhooks/${webhook.id}`)).body.secret).toBeUndefined();
});

it('hears of nothing that happened while it was disabled', async () => {
  const webhook = await create({ repositories: ['hooks/paused'], actions: ['manifest.push'] });
  await api('PATCH', `/webhooks/${webhook.id}`, { enabled: false });
  await pushImage(registry.client, 'hooks/paused', 'missed');
  await api('PATCH', `/webhooks/${webhook.id}`, { enabled: true });
  await pushImage(registry.client, 'hooks/paused', 'heard');
  const [received] = await receiver.until(1);
  expect(JSON.parse(received!.body).data.tag).toBe('heard');
  expect(await settled(webhook, 1)).toHaveLength(1);
});

it('forgets a webhook with its deliveries', async () => {
  const webhook = await create({ repositories: ['hooks/forgotten'] });
  await pushImage(registry.client, 'hooks/forgotten', 'v1');
  await settled(webhook, 3);
  expect((await api('DELETE', `/webhooks/${webhook.id}`)).status).toBe(204);
  for (const path of ['', '/deliveries']) {
    expect((await api('GET', `/webhooks/${webhook.id}${path}`)).status).toBe(404);
  }
  const { items } = (await api('GET', '/audit?limit=1000')).body as {
    items: { action: string; detail: object }[];
  };
  expect(items.filter(({ action }) => action.startsWith('webhook.')).slice(0, 2)).toMatchObject([
    { action: 'webhook.delete', detail: { id: webhook.id } },
    { action: 'webhook.create', detail: { id: webhook.id, url: receiver.url } },
  ]);
  expect(JSON.stringify(items)).not.toContain('whsec_');
  const rows = await registry.db
    .selectFrom('event_deliveries')
    .selectAll()
    .where('consumer', '=', `webhook:${webhook.id}`)
    .execute();
  expect(rows).toEqual([]);
});

it.each([
  ['http://10.0.0.1/', 403],
  ['http://169.254.169.254/latest/meta-data', 403],
  ['http://127.0.0.2:80/', 403],
  ['http://2130706434/', 403],
  ['http://[::1]/', 403],
  ['http://[::ffff:10.0.0.1]/', 403],
  ['http://[64:ff9b::a00:1]/', 403],
  ['http://0.0.0.0/', 403],
  ['ftp://example.com/', 400],
  ['http://user:password@example.com/', 400],
])('refuses %s', async (url, status) => {
  expect((await api('POST', '/webhooks', { url })).status).toBe(status);
});

it.each([
  [{ url: 'http://example.com', repositories: ['Bad'] }],
  [{ url: 'http://example.com', actions: ['user.*'] }],
  [{ url: 'http://example.com', secret: 'whsec_c2hvcnQ=' }],
  [{ url: 'http://example.com', format: 'xml' }],
  [{ url: 'http://example.com', surprise: 1 }],
])('refuses %j', async (settings) => {
  expect((await api('POST', '/webhooks', settings)).status).toBe(400);
});
