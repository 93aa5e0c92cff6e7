import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { OPEN_ACCESS } from '#auth/access.ts';
import { DistributionUpstream } from '#cli/registry/upstreams.ts';
import { HttpTransport } from '#distribution/http-transport.ts';
import type { Metrics } from '#observability/metrics.ts';
import { PrometheusMetrics } from '#observability/prometheus-metrics.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import {
  describe as descriptor,
  errorCode,
  json,
  pushBlob,
  pushImage,
  putManifest,
} from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';
import { UpstreamProxy } from '#test/registry/upstream-proxy.ts';

const transport = new HttpTransport({ idleTimeoutMs: 1_000 });
let origin: TestRegistry;
let [one, two]: UpstreamProxy[] = [];
let mirror: TestRegistry;

beforeAll(async () => {
  origin = await startTestRegistry();
});
afterAll(async () => {
  transport[Symbol.dispose]();
  await origin[Symbol.asyncDispose]();
});
beforeEach(async () => {
  [one, two] = [await UpstreamProxy.start(origin.address), await UpstreamProxy.start(origin.address)];
  mirror = await startMirror();
});
afterEach(async () => {
  for (const it of [mirror, one, two]) await it![Symbol.asyncDispose]();
});

const upstream = (url: string) =>
  new DistributionUpstream({ transport }, { url, timeout: 500, maxManifestSize: 4 * 1024 * 1024 });

type Options = Parameters<typeof startTestRegistry>[0];

async function startMirror(
  options: {
    freshness?: number;
    absence?: number;
    prefix?: string;
    expiry?: number;
    auth?: NonNullable<Options>['auth'];
    metrics?: Metrics;
  } = {},
) {
  const { prefix = 'hub', auth, metrics, ...more } = options;
  const upstreams = [upstream(one!.url), upstream(two!.url)];
  return await startTestRegistry({
    ...(auth && { auth }),
    ...(metrics && { metrics }),
    federation: { mirrors: { rules: [{ prefix, namespace: 'docker.io', upstreams }], ...more } },
  });
}

const get = (path: string, headers = {}) => mirror.client.send('GET', `/v2/${path}`, { headers });
const pushes = (name: string) => pushImage(origin.client, name, 'v1', { annotations: { name } });

/** Restarts the mirror on the same data, as if time had passed for what it knew. */
async function withoutFreshness<T>(use: () => Promise<T>): Promise<T> {
  await mirror.db.updateTable('mirrored_tags').set({ checked_at: 1 }).execute();
  return await use();
}

it('pulls an image through, once', async () => {
  const { digest, payload } = await pushes('lib/app');
  const first = await get('hub/lib/app/manifests/v1');
  expect([first.status, first.headers['docker-content-digest'], first.body.toString()]).toEqual([
    200,
    digest,
    payload,
  ]);
  for (const reference of ['v1', digest]) {
    expect((await get(`hub/lib/app/manifests/${reference}`)).body.toString()).toBe(payload);
  }
  const layer = digestOf('a layer');
  for (let i = 0; i < 2; i++)
    expect((await get(`hub/lib/app/blobs/${layer}`)).body.toString()).toBe('a layer');
  expect(one!.asked).toEqual(['GET /v2/lib/app/manifests/v1', `GET /v2/lib/app/blobs/${layer}`]);
  expect(two!.asked).toEqual([]);
  expect(json(await get('hub/lib/app/tags/list'))).toEqual({ name: 'hub/lib/app', tags: ['v1'] });
});

it('counts how it answered', async () => {
  await pushes('lib/counted');
  await mirror[Symbol.asyncDispose]();
  const metrics = new PrometheusMetrics({ process: false });
  mirror = await startMirror({ metrics, absence: 60_000 });
  const tag = 'hub/lib/counted/manifests/v1';
  const layer = `hub/lib/counted/blobs/${digestOf('a layer')}`;
  for (const path of [tag, tag, layer, layer]) expect((await get(path)).status).toBe(200);
  for (let i = 0; i < 2; i++) expect((await get('hub/lib/counted/manifests/none')).status).toBe(404);
  expect((await withoutFreshness(() => get(tag))).status).toBe(200);
  for (const it of [one!, two!]) {
    it.fault = (_, response) => {
      response.writeHead(503).end();
      return 'handled';
    };
  }
  expect((await withoutFreshness(() => get(tag))).status).toBe(200);
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('slipway_mirror'));
  expect(lines.sort()).toEqual([
    'slipway_mirror_requests_total{kind="blob",result="hit"} 1',
    'slipway_mirror_requests_total{kind="blob",result="miss"} 1',
    'slipway_mirror_requests_total{kind="manifest",result="absent"} 1',
    'slipway_mirror_requests_total{kind="manifest",result="hit"} 1',
    'slipway_mirror_requests_total{kind="manifest",result="miss"} 1',
    'slipway_mirror_requests_total{kind="manifest",result="revalidated"} 1',
    'slipway_mirror_requests_total{kind="manifest",result="stale"} 1',
  ]);
});

it('serves what clients ask for by the name of the registry that it mirrors', async () => {
  const { payload } = await pushes('lib/named');
  const answer = await get('lib/named/manifests/v1?ns=docker.io');
  expect([answer.status, answer.headers['oci-namespace'], answer.body.toString()]).toEqual([
    200,
    'docker.io',
    payload,
  ]);
  expect((await get('lib/named/manifests/v1?ns=elsewhere.io')).status).toBe(404);
  expect((await get('lib/named/manifests/v1')).status).toBe(404);
});

it('asks upstream for nobody who may not pull', async () => {
  await pushes('secret/app');
  await pushes('open/app');
  await mirror[Symbol.asyncDispose]();
  const access = { ...OPEN_ACCESS, allows: (name: string) => name.startsWith('hub/open/') };
  const authenticator = { authenticate: async () => access, challenge: () => 'Bearer realm="x"' };
  mirror = await startMirror({ auth: () => ({ authenticator }) });
  const layer = digestOf('a layer');
  for (const path of [
    'hub/secret/app/manifests/v1',
    'secret/app/manifests/v1?ns=docker.io',
    `hub/secret/app/blobs/${layer}`,
  ]) {
    expect((await get(path)).status).toBe(401);
  }
  expect(one!.asked).toEqual([]);
  expect((await get('open/app/manifests/v1?ns=docker.io')).status).toBe(200);
});

it('takes no pushes', async () => {
  await pushes('lib/pushed');
  await get('hub/lib/pushed/manifests/v1');
  for (const [method, path] of [
    ['POST', 'hub/lib/pushed/blobs/uploads/'],
    ['PUT', 'hub/lib/pushed/manifests/v1'],
    ['PUT', 'hub/lib/pushed/manifests/v1?ns=docker.io'],
  ]) {
    expect((await mirror.client.send(method!, `/v2/${path}`)).status).toBe(405);
  }
});

it('notices that a tag moved, and asks with HEAD alone when it did not', async () => {
  await pushes('lib/moved');
  await get('hub/lib/moved/manifests/v1');
  await withoutFreshness(() => get('hub/lib/moved/manifests/v1'));
  expect(one!.asked.slice(1)).toEqual(['HEAD /v2/lib/moved/manifests/v1']);
  const { digest } = await pushImage(origin.client, 'lib/moved', 'v1', { annotations: { moved: 'yes' } });
  expect((await get('hub/lib/moved/manifests/v1')).headers['docker-content-digest']).not.toBe(digest);
  const answer = await withoutFreshness(() => get('hub/lib/moved/manifests/v1'));
  expect(answer.headers['docker-content-digest']).toBe(digest);
});

it('forgets a tag that is gone upstream', async () => {
  await pushes('lib/untagged');
  await get('hub/lib/untagged/manifests/v1');
  await origin.client.send('DELETE', '/v2/lib/untagged/manifests/v1');
  expect((await withoutFreshness(() => get('hub/lib/untagged/manifests/v1'))).status).toBe(404);
  expect(json(await get('hub/lib/untagged/tags/list'))).toMatchObject({ tags: [] });
});

it.each([
  ['refuses connections', (_: unknown, response: { destroy(): void }) => void response.destroy()],
  [
    'is broken',
    (_: unknown, response: { writeHead(n: number): { end(): void } }) => response.writeHead(502).end(),
  ],
  ['says nothing', () => undefined],
])('goes on serving what it has when upstream %s', async (_, react) => {
  const { digest } = await pushes('lib/stale');
  await get('hub/lib/stale/manifests/v1');
  for (const proxy of [one!, two!]) {
    proxy.fault = (request, response) => {
      react(request, response as never);
      return 'handled';
    };
  }
  const answer = await withoutFreshness(() => get('hub/lib/stale/manifests/v1'));
  expect([answer.status, answer.headers['docker-content-digest']]).toEqual([200, digest]);
  const missing = await get('hub/lib/stale/manifests/v2');
  expect([missing.status, errorCode(missing)]).toEqual([503, 'UNAVAILABLE']);
  const blob = await get(`hub/lib/stale/blobs/${digestOf('elsewhere')}`);
  expect(blob.status).toBe(503);
});

it('asks the next upstream when one is down, lies or does not have it', async () => {
  const { payload } = await pushes('lib/second');
  const layer = digestOf('a layer');
  one!.fault = (_, response) => {
    response.destroy();
    return 'handled';
  };
  expect((await get('hub/lib/second/manifests/v1')).body.toString()).toBe(payload);
  one!.fault = (_, response) => {
    response.writeHead(404).end();
    return 'handled';
  };
  expect((await get(`hub/lib/second/blobs/${layer}`)).body.toString()).toBe('a layer');
  one!.fault = () => undefined;
  one!.corrupt = true;
  const { digest, payload: other } = await pushes('lib/lies');
  expect((await get(`hub/lib/lies/manifests/${digest}`)).body.toString()).toBe(other);
});

it('remembers what is not there', async () => {
  for (let i = 0; i < 3; i++) {
    expect((await get('hub/lib/none/manifests/v1')).status).toBe(404);
    expect((await get(`hub/lib/none/blobs/${digestOf('none')}`)).status).toBe(404);
  }
  expect([one!.asked.length, two!.asked.length]).toEqual([2, 2]);
});

it('leaves an upstream alone that wants fewer requests', async () => {
  await pushes('lib/limited');
  for (const proxy of [one!, two!]) {
    proxy.fault = (_, response) => {
      response.writeHead(429, { 'Retry-After': '120' }).end();
      return 'handled';
    };
  }
  for (let i = 0; i < 3; i++) {
    const answer = await get('hub/lib/limited/manifests/v1');
    expect([answer.status, Number(answer.headers['retry-after'])]).toEqual([429, expect.closeTo(120, -1)]);
  }
  expect([one!.asked.length, two!.asked.length]).toEqual([1, 1]);
});

it('fetches a blob and a manifest once for many clients', async () => {
  const bytes = randomBytes(3_000_000);
  const digest = await pushBlob(origin.client, 'lib/crowd', bytes);
  await pushes('lib/crowd');
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, i) =>
      i % 2 === 0
        ? get(`hub/lib/crowd/blobs/${digest}`)
        : get(`hub/lib/crowd/blobs/${digest}`, { Range: `bytes=${i * 1000}-` }),
    ),
  );
  for (const [i, { status, body }] of answers.entries()) {
    expect(status).toBe(i % 2 === 0 ? 200 : 206);
    expect(body.equals(bytes.subarray(i % 2 === 0 ? 0 : i * 1000))).toBe(true);
  }
  await Promise.all(Array.from({ length: 12 }, () => get('hub/lib/crowd/manifests/v1')));
  expect([one!.count('GET', '/blobs/'), one!.count('GET', '/manifests/')]).toEqual([1, 1]);
});

it('takes a download up where it broke off, at whichever upstream', async () => {
  const bytes = randomBytes(5_000_000);
  const digest = await pushBlob(origin.client, 'lib/cut', bytes);
  one!.cutAfter = 2_000_000;
  const answer = await get(`hub/lib/cut/blobs/${digest}`);
  expect(answer.body.equals(bytes)).toBe(true);
  expect((await get(`hub/lib/cut/blobs/${digest}`)).body.equals(bytes)).toBe(true);
});

it('lets no client take a wrong blob for whole, and keeps nothing of it', async () => {
  const bytes = randomBytes(1_000_000);
  const digest = await pushBlob(origin.client, 'lib/wrong', bytes);
  one!.corrupt = true;
  two!.corrupt = true;
  await expect(get(`hub/lib/wrong/blobs/${digest}`)).rejects.toThrow(/aborted|socket hang up|ECONNRESET/);
  expect(await mirror.db.selectFrom('blobs').selectAll().where('digest', '=', digest).execute()).toEqual([]);
  one!.corrupt = false;
  await sleep(10);
  expect((await get(`hub/lib/wrong/blobs/${digest}`)).body.equals(bytes)).toBe(true);
});

it('goes on when the client that wanted it leaves', async () => {
  const bytes = randomBytes(4_000_000);
  const digest = await pushBlob(origin.client, 'lib/left', bytes);
  const leaving = new AbortController();
  const response = await fetch(`http://${mirror.address}/v2/hub/lib/left/blobs/${digest}`, {
    signal: leaving.signal,
  });
  await response.body!.getReader().read();
  leaving.abort();
  while (
    !(await mirror.db.selectFrom('blobs').select('digest').where('digest', '=', digest).executeTakeFirst())
  ) {
    await sleep(20);
  }
  expect((await get(`hub/lib/left/blobs/${digest}`)).body.equals(bytes)).toBe(true);
  expect(one!.count('GET', '/blobs/')).toBe(1);
});

it('answers HEAD without fetching', async () => {
  const digest = await pushBlob(origin.client, 'lib/head', 'some bytes');
  const answer = await mirror.client.send('HEAD', `/v2/hub/lib/head/blobs/${digest}`);
  expect([answer.status, answer.headers['content-length']]).toEqual([200, '10']);
  expect(one!.asked).toEqual([`HEAD /v2/lib/head/blobs/${digest}`]);
});

it('does not fetch a layer twice for two mirrored repositories, and shows nothing that was pushed here', async () => {
  await pushes('lib/shared1');
  await pushes('lib/shared2');
  const layer = digestOf('a layer');
  for (const name of ['lib/shared1', 'lib/shared2']) {
    await get(`hub/${name}/manifests/v1`);
    expect((await get(`hub/${name}/blobs/${layer}`)).body.toString()).toBe('a layer');
  }
  expect(one!.count('GET', `/blobs/${layer}`)).toBe(1);
  const secret = await pushBlob(mirror.client, 'team/private', 'a secret');
  expect((await get(`hub/lib/shared1/blobs/${secret}`)).status).toBe(404);
});

it('keeps to what was pushed here where everything is mirrored', async () => {
  await mirror[Symbol.asyncDispose]();
  mirror = await startMirror({ prefix: '', freshness: 0 });
  const { digest: theirs } = await pushes('lib/both');
  const { digest: ours } = await pushImage(mirror.client, 'lib/both', 'v2', { annotations: { own: 'yes' } });
  await pushImage(origin.client, 'lib/both', 'v2', { annotations: { theirs: 'yes' } });
  const tags = async (tag: string) =>
    (await get(`lib/both/manifests/${tag}`)).headers['docker-content-digest'] as Digest;
  expect([await tags('v1'), await tags('v2'), await tags('v1'), await tags('v2')]).toEqual([
    theirs,
    ours,
    theirs,
    ours,
  ]);
  await putManifest(mirror.client, 'lib/both', 'v1', (await get('lib/both/manifests/v2')).body);
  expect(await tags('v1')).toBe(ours);
});

it('lets go of what nobody pulls any more', async () => {
  await mirror[Symbol.asyncDispose]();
  mirror = await startMirror({ expiry: 1_000_000 });
  await pushes('lib/unused');
  await pushes('lib/used');
  for (const name of ['lib/unused', 'lib/used']) await get(`hub/${name}/manifests/v1`);
  await mirror.federation.statistics.flush();
  const age = { fetched_at: 1 };
  await mirror.db.updateTable('mirrored_manifests').set(age).execute();
  await mirror.db
    .updateTable('pulls')
    .set({ last_pulled_at: 1 })
    .where('repository_id', 'in', (from) =>
      from.selectFrom('repositories').select('id').where('name', '=', 'hub/lib/unused'),
    )
    .execute();
  expect(await mirror.federation.mirror!.expire(new AbortController().signal)).toBe(1);
  const left = await mirror.db
    .selectFrom('manifests')
    .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
    .select('name')
    .execute();
  expect(left).toEqual([{ name: 'hub/lib/used' }]);
  expect((await get('hub/lib/unused/manifests/v1')).status).toBe(200);
});

it('refuses a manifest that cannot be one', async () => {
  one!.fault = two!.fault = (_, response) => {
    response.writeHead(200, { 'Content-Type': MEDIA_TYPE.ociManifest }).end('{"schemaVersion":1}');
    return 'handled';
  };
  expect((await get('hub/lib/odd/manifests/v1')).status).toBe(503);
});

it('pulls an index and its parts through', async () => {
  const { payload } = await pushes('lib/index');
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociIndex,
    manifests: [descriptor(payload, MEDIA_TYPE.ociManifest)],
  });
  await putManifest(origin.client, 'lib/index', 'all', index, MEDIA_TYPE.ociIndex);
  expect((await get('hub/lib/index/manifests/all')).body.toString()).toBe(index);
  expect((await get(`hub/lib/index/manifests/${digestOf(payload)}`)).body.toString()).toBe(payload);
});
