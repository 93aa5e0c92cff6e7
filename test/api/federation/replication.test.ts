import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { NamespacePattern } from '#auth/policies/pattern.ts';
import { DistributionTarget } from '#cli/registry/replication-target.ts';
import { HttpTransport } from '#distribution/http-transport.ts';
import { digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { ReplicationRule } from '#registry/replication/replication-rule.ts';
import {
  DistributionClient,
  describe as descriptor,
  json,
  pushBlob,
  pushImage,
  putManifest,
} from '#test/registry/distribution-client.ts';
import { startPeerRegistry } from '#test/registry/peer-registry.ts';
import { inBackground } from '#test/registry/test-federation.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';
import { UpstreamProxy } from '#test/registry/upstream-proxy.ts';

const transport = new HttpTransport({ idleTimeoutMs: 2_000 });
let target: TestRegistry;
let proxy: UpstreamProxy;
let source: TestRegistry;
let background: AsyncDisposable;

beforeAll(async () => {
  target = await startTestRegistry();
});
afterAll(async () => {
  transport[Symbol.dispose]();
  await target[Symbol.asyncDispose]();
});
beforeEach(async () => {
  proxy = await UpstreamProxy.start(target.address);
  source = await startTestRegistry({
    federation: { replication: [rule('second', proxy.url, { prefix: 'copy', deletes: true })] },
  });
  background = inBackground((signal) => source.federation.runner.run(signal));
  // What is pushed from here on is for the rule.
  while ((await rows('event_consumers')) === 0) await sleep(10);
});
afterEach(async () => {
  for (const it of [background, source, proxy]) await it[Symbol.asyncDispose]();
});

function rule(name: string, url: string, more: Partial<ReplicationRule> = {}): ReplicationRule {
  const { deletes = false } = more;
  const options = { origin: new URL(url), credentials: undefined, deletes };
  return {
    name,
    url,
    target: new DistributionTarget({ transport }, options),
    repositories: ['team/**'] as NamespacePattern[],
    prefix: '',
    deletes,
    ...more,
  };
}

const rows = async (table: 'event_consumers') =>
  (await source.db.selectFrom(table).selectAll().execute()).length;

interface Job {
  id: number;
  state: string;
  attempts: number;
  result: string;
}
const jobs = async (name: string, of: TestRegistry): Promise<Job[]> =>
  (json(await of.client.send('GET', `/api/v1/replication/${name}/jobs`)) as { items: Job[] }).items;
const settled = async (count: number, name = 'second', of = source): Promise<Job[]> => {
  for (;;) {
    const found = await jobs(name, of);
    if (found.length >= count && found.every(({ state }) => state !== 'pending')) return found;
    await sleep(20);
  }
};
const there = (path: string) => target.client.send('GET', `/v2/copy/${path}`);

it('pushes on what is pushed, and nothing else', async () => {
  const { digest, payload } = await pushImage(source.client, 'team/app', 'v1');
  await pushImage(source.client, 'other/app', 'v1');
  const [job] = await settled(1);
  expect(job).toMatchObject({ state: 'delivered', result: '1 manifests, 2 blobs uploaded, 0 there already' });
  const copy = await there('team/app/manifests/v1');
  expect([copy.headers['docker-content-digest'], copy.body.toString()]).toEqual([digest, payload]);
  expect((await there(`team/app/blobs/${digestOf('a layer')}`)).body.toString()).toBe('a layer');
  expect((await there('other/app/manifests/v1')).status).toBe(404);
});

it('uploads nothing that is there, in whichever repository', async () => {
  await pushImage(source.client, 'team/first', 'v1', { annotations: { a: '1' } });
  await settled(1);
  await pushImage(source.client, 'team/first', 'v2', { annotations: { a: '2' } });
  await pushImage(source.client, 'team/mounted', 'v1', { annotations: { a: '3' } });
  const done = await settled(3);
  expect(done.map(({ result }) => result)).toContain('1 manifests, 0 blobs uploaded, 2 there already');
  expect(proxy.count('PUT', '/blobs/uploads/')).toBe(2);
  const before = proxy.asked.length;
  await pushImage(source.client, 'team/first', 'v2', { annotations: { a: '2' } });
  await settled(4);
  expect(proxy.asked.slice(before).filter((it) => !it.startsWith('HEAD'))).toEqual([]);
});

it('takes the parts of an index and referrers along', async () => {
  const one = await pushImage(source.client, 'team/index', undefined, { annotations: { part: '1' } });
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociIndex,
    manifests: [
      descriptor(one.payload, MEDIA_TYPE.ociManifest),
      descriptor('absent', MEDIA_TYPE.ociManifest),
    ],
  });
  await putManifest(source.client, 'team/index', 'all', index, MEDIA_TYPE.ociIndex);
  const subject = descriptor(index, MEDIA_TYPE.ociIndex);
  const signature = await pushImage(source.client, 'team/index', undefined, {
    subject,
    artifactType: 'application/vnd.example.signature',
  });
  await settled(3);
  expect((await there('team/index/manifests/all')).body.toString()).toBe(index);
  expect((await there(`team/index/manifests/${one.digest}`)).status).toBe(200);
  expect(json(await there(`team/index/referrers/${subject.digest}`))).toMatchObject({
    manifests: [{ digest: signature.digest }],
  });
});

it('goes on until the target takes it', async () => {
  let refused = 0;
  proxy.fault = ({ method }, response) => {
    if (method !== 'PUT' || refused++ >= 3) return undefined;
    response.destroy();
    return 'handled';
  };
  const { digest } = await pushImage(source.client, 'team/flaky', 'v1');
  const [job] = await settled(1);
  expect(job).toMatchObject({ state: 'delivered' });
  expect((await there('team/flaky/manifests/v1')).headers['docker-content-digest']).toBe(digest);
});

it('says what does not get through, and tries again when it is asked to', async () => {
  proxy.fault = (_, response) => {
    response.writeHead(403).end('{"errors":[{"code":"DENIED","message":"no"}]}');
    return 'handled';
  };
  await pushImage(source.client, 'team/denied', 'v1');
  const [job] = await settled(1);
  expect(job).toMatchObject({ state: 'dead', attempts: 6, result: expect.stringMatching(/denied/) });
  expect(json(await source.client.send('GET', '/api/v1/replication'))).toEqual({
    items: [
      {
        name: 'second',
        url: proxy.url,
        repositories: ['team/**'],
        prefix: 'copy',
        deletes: true,
        jobs: { pending: 0, delivered: 0, dead: 1 },
      },
    ],
  });
  proxy.fault = () => undefined;
  const answer = await source.client.send('POST', `/api/v1/replication/second/jobs/${job!.id}/retry`);
  expect(answer.status).toBe(204);
  expect((await settled(1))[0]).toMatchObject({ state: 'delivered' });
});

it('ends with what a tag means last, whatever fails on the way', async () => {
  let calls = 0;
  proxy.fault = (_, response) => {
    if (++calls % 3 !== 0) return undefined;
    response.writeHead(503).end();
    return 'handled';
  };
  for (let i = 0; i < 5; i++) {
    await pushImage(source.client, 'team/moving', 'latest', { annotations: { i: `${i}` } });
  }
  proxy.fault = () => undefined;
  await settled(5);
  const here = await source.client.send('HEAD', '/v2/team/moving/manifests/latest');
  expect((await there('team/moving/manifests/latest')).headers['docker-content-digest']).toBe(
    here.headers['docker-content-digest'],
  );
});

it('deletes there what was deleted here', async () => {
  const { digest } = await pushImage(source.client, 'team/deleted', 'v1');
  await settled(1);
  await source.client.send('DELETE', '/v2/team/deleted/manifests/v1');
  await settled(2);
  expect((await there('team/deleted/manifests/v1')).status).toBe(404);
  expect((await there(`team/deleted/manifests/${digest}`)).status).toBe(200);
  await source.client.send('DELETE', `/v2/team/deleted/manifests/${digest}`);
  await settled(3);
  expect((await there(`team/deleted/manifests/${digest}`)).status).toBe(404);
});

it('catches up on what was pushed before there was a rule', async () => {
  await background[Symbol.asyncDispose]();
  await source.db.deleteFrom('event_consumers').execute();
  for (const tag of ['v1', 'v2']) await pushImage(source.client, 'team/old', tag, { annotations: { tag } });
  await pushImage(source.client, 'other/old', 'v1');
  background = inBackground((signal) => source.federation.runner.run(signal));
  const answer = await source.client.send('POST', '/api/v1/replication/second/synchronize');
  expect([answer.status, json(answer)]).toEqual([202, { jobs: 2 }]);
  await settled(2);
  for (const tag of ['v1', 'v2']) expect((await there(`team/old/manifests/${tag}`)).status).toBe(200);
  expect((await source.client.send('POST', '/api/v1/replication/none/synchronize')).status).toBe(404);
});

it('pushes on to docker-registry', async () => {
  await using peer = await startPeerRegistry();
  await using here = await startTestRegistry({
    federation: { replication: [rule('peer', `http://${peer.address}`, { deletes: true })] },
  });
  await using _ = inBackground((signal) => here.federation.runner.run(signal));
  await here.client.send('POST', '/api/v1/replication/peer/synchronize');
  const bytes = randomBytes(3_000_000);
  await pushBlob(here.client, 'team/peer', bytes);
  const { digest, payload } = await pushImage(here.client, 'team/peer', 'v1', {
    layers: [descriptor(bytes, MEDIA_TYPE.ociLayer)],
  });
  const client = new DistributionClient(peer.address);
  const headers = { Accept: MEDIA_TYPE.ociManifest };
  const found = (path: string) => client.send('GET', `/v2/team/peer/${path}`, { headers });
  while ((await found('manifests/v1')).status !== 200) await sleep(20);
  expect((await found('manifests/v1')).body.toString()).toBe(payload);
  expect((await found(`blobs/${digestOf(bytes)}`)).body.equals(bytes)).toBe(true);
  // Some versions delete no tags; manifests they all do.
  await here.client.send('DELETE', '/v2/team/peer/manifests/v1');
  await here.client.send('DELETE', `/v2/team/peer/manifests/${digest}`);
  while ((await found(`manifests/${digest}`)).status !== 404) await sleep(20);
  expect(await settled(3, 'peer', here)).toMatchObject([{ state: 'delivered', result: 'deleted' }, {}, {}]);
  client.close();
});
