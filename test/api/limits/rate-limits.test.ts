import { afterEach, describe, expect, it } from 'vitest';
import { TrustedProxies } from '#registry/http/trusted-proxies.ts';
import { Networks } from '#registry/limits/networks.ts';
import { RequestLimits, type RequestLimitsOptions } from '#registry/limits/request-limits.ts';
import { SharedBuckets } from '#registry/limits/shared-buckets.ts';
import { errorCode, json, pushImage } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';

const HOUR = 3_600_000;

let registry: TestRegistry;
let refusals: string[];
afterEach(() => registry[Symbol.asyncDispose]());

/** A registry behind a proxy on loopback, which says in X-Forwarded-For where requests come from. */
async function start(limits: Partial<RequestLimitsOptions>): Promise<void> {
  refusals = [];
  registry = await startTestRegistry({
    trustedProxies: new TrustedProxies(['127.0.0.1/32']),
    rateLimits: {
      limits: new RequestLimits({
        buckets: new SharedBuckets({ size: 1000 }),
        address: null,
        principal: null,
        pulls: null,
        exempt: new Networks(['127.0.0.0/8']),
        ...limits,
      }),
      refused: { add: ({ limit }) => refusals.push(limit) },
    },
  });
}

const send = (path: string, from = '', method = 'GET') =>
  registry.client.send(method, path, { headers: from === '' ? {} : { 'X-Forwarded-For': from } });

describe('an address', () => {
  it('may send so many requests', async () => {
    await start({ address: { count: 3, period: HOUR } });
    for (let i = 0; i < 3; i++) expect((await send('/v2/', '9.9.9.9')).status).toBe(200);
    const refused = await send('/v2/', '9.9.9.9');
    expect([refused.status, errorCode(refused)]).toEqual([429, 'TOOMANYREQUESTS']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(1000);
    expect(refused.headers['ratelimit-limit']).toBe('3;w=3600');
    expect(refused.headers['ratelimit-remaining']).toBe('0;w=3600');
    expect(refusals).toEqual(['address']);

    // Neither others nor those who are exempt.
    expect((await send('/v2/', '9.9.9.8')).status).toBe(200);
    for (let i = 0; i < 5; i++) expect((await send('/v2/')).status).toBe(200);
  });

  it('is told so by the admin API as well', async () => {
    await start({ address: { count: 1, period: HOUR } });
    await send('/api/v1/openapi.json', '9.9.9.9');
    const refused = await send('/api/v1/openapi.json', '9.9.9.9');
    expect(refused.status).toBe(429);
    expect(refused.headers['retry-after']).toMatch(/^\d+$/);
    expect(json(refused)).toMatchObject({ status: 429, code: 'too-many' });
  });

  it('is a whole /64 in IPv6, and what it claims of itself does not count', async () => {
    await start({ address: { count: 2, period: HOUR } });
    const from = ['2001:db8::1', '1.1.1.1, 2001:db8::2', '2001:db8:0:0:ffff::3'];
    const statuses = [];
    for (const address of from) statuses.push((await send('/v2/', address)).status);
    expect(statuses).toEqual([200, 200, 429]);
  });
});

it('counts pulls: manifests that are fetched', async () => {
  await start({ pulls: { count: 2, period: HOUR } });
  await pushImage(registry.client, 'limits/a', 'v1');
  const [manifest, from] = ['/v2/limits/a/manifests/v1', '9.9.9.9'];
  const seen = [];
  for (let i = 0; i < 3; i++) {
    await send(manifest, from, 'HEAD');
    await send('/v2/limits/a/tags/list', from);
    const { status, headers } = await send(manifest, from);
    seen.push([status, headers['ratelimit-remaining']]);
  }
  expect(seen).toEqual([
    [200, '1;w=3600'],
    [200, '0;w=3600'],
    [429, '0;w=3600'],
  ]);
  expect(refusals).toEqual(['pulls']);
  // An address may go on with everything else.
  expect((await send('/v2/limits/a/tags/list', from)).status).toBe(200);
});

it('counts a pull once, whatever comes of it', async () => {
  await start({ address: { count: 4, period: HOUR }, pulls: { count: 3, period: HOUR } });
  const [nothing, from] = ['/v2/limits/nothing/manifests/v1', '9.9.9.9'];
  const statuses = [];
  for (let i = 0; i < 5; i++) statuses.push((await send(nothing, from)).status);
  expect(statuses).toEqual([404, 404, 404, 429, 429]);
  expect(refusals).toEqual(['pulls', 'address']);
});

it('refuses what a proxy took in plain HTTP', async () => {
  await start({});
  const headers = { 'X-Forwarded-For': '9.9.9.9', 'X-Forwarded-Proto': 'http' };
  const answer = await registry.client.send('GET', '/v2/', { headers });
  expect([answer.status, errorCode(answer)]).toEqual([403, 'DENIED']);
});
