import { afterEach, expect, it } from 'vitest';
import type { ContentStore } from '#content/content-store.ts';
import { json } from '../../registry/distribution-client.ts';
import { type ObservedRegistry, startObservedRegistry } from '../../registry/observed-registry.ts';

let registry: ObservedRegistry | undefined;

afterEach(() => registry?.[Symbol.asyncDispose]());

/** A store that answers in its own way to whoever asks whether something is there. */
const withStat = (stat: ContentStore['stat']) => (store: ContentStore) =>
  new Proxy(store, {
    get(target, key) {
      const value = key === 'stat' ? stat : Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

it('is alive and ready', async () => {
  registry = await startObservedRegistry();
  expect((await registry.client.send('GET', '/healthz')).status).toBe(200);
  const answer = await registry.client.send('GET', '/readyz');
  expect(answer.status).toBe(200);
  expect(json(answer)).toEqual({ ready: true, checks: { database: 'ok', storage: 'ok' } });
});

it('is not ready without its storage, and does not say more than that to anyone', async () => {
  const stat = () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7:9000'));
  registry = await startObservedRegistry({ content: withStat(stat) });
  const answer = await registry.client.send('GET', '/readyz');
  expect(answer.status).toBe(503);
  expect(answer.headers['retry-after']).toBeDefined();
  expect(json(answer)).toEqual({ ready: false, checks: { database: 'ok', storage: 'failed' } });
  expect(answer.body.toString()).not.toContain('10.0.0.7');
  expect((await registry.client.send('GET', '/healthz')).status).toBe(200);
});

it('does not wait for a storage that hangs', async () => {
  registry = await startObservedRegistry({ content: withStat(() => new Promise(() => {})) });
  expect((await registry.client.send('GET', '/readyz')).status).toBe(503);
});

it('is not ready once it drains, and still serves', async () => {
  registry = await startObservedRegistry();
  registry.health.drain();
  const answer = await registry.client.send('GET', '/readyz');
  expect(answer.status).toBe(503);
  expect(json(answer)).toMatchObject({ ready: false, checks: { draining: 'failed' } });
  expect((await registry.client.send('GET', '/v2/')).status).toBe(200);
});

it('shows metrics to this machine, not through a proxy of it', async () => {
  registry = await startObservedRegistry();
  const answer = await registry.client.send('GET', '/metrics');
  expect(answer.status).toBe(200);
  expect(answer.headers['content-type']).toContain('text/plain');
  expect(answer.body.toString()).toContain('# TYPE slipway_http_request_duration_seconds histogram');
  for (const header of ['X-Forwarded-For', 'Forwarded', 'Via']) {
    const passedOn = await registry.client.send('GET', '/metrics', { headers: { [header]: '192.0.2.1' } });
    expect(passedOn.status).toBe(403);
  }
});

it('shows metrics to whoever has the token', async () => {
  registry = await startObservedRegistry({ token: 'the-token' });
  const ask = (token: string) =>
    registry!.client.send('GET', '/metrics', {
      headers: { Authorization: `Bearer ${token}`, 'X-Forwarded-For': '192.0.2.1' },
    });
  expect((await ask('the-token')).status).toBe(200);
  expect((await ask('another')).status).toBe(403);
});

it('answers nothing but GET and HEAD there', async () => {
  registry = await startObservedRegistry();
  expect((await registry.client.send('POST', '/metrics')).status).toBe(405);
  const head = await registry.client.send('HEAD', '/readyz');
  expect([head.status, head.body.length]).toEqual([200, 0]);
});
