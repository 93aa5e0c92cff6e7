import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Manifest } from '#oci/manifest.ts';
import { parseImageReference } from '#oci/reference.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { json, putManifest } from '#test/registry/distribution-client.ts';
import { startTestRegistry, type TestRegistry } from '#test/registry/test-registry.ts';
import { UpstreamProxy } from '#test/registry/upstream-proxy.ts';
import { type Edge, vertex } from '#worker/build/llb/vertex.ts';
import type { LayersRef } from '#worker/build/solve/ref.ts';
import { execOf, SOURCE } from '../drivers-world.ts';
import { CachedWorker } from './cached-worker.ts';

/** Real workers, a real registry, and between them what counts the bytes of uploads. */
let registry: TestRegistry;
let proxy: UpstreamProxy;
let host: string;
let uploaded: Map<string, number>;
let one: CachedWorker;
beforeEach(async () => {
  registry = await startTestRegistry();
  proxy = await UpstreamProxy.start(registry.address);
  host = new URL(proxy.url).host;
  uploaded = new Map();
  proxy.fault = count;
  one = await CachedWorker.open(`${host}/slipway/build-cache`);
});
afterEach(async () => {
  await one[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

const count: UpstreamProxy['fault'] = (request) => {
  const [, repository] = /^\/v2\/(.+)\/blobs\/uploads\//.exec(request.url!) ?? [];
  if (repository === undefined) return undefined;
  request.on('data', (chunk: Buffer) =>
    uploaded.set(repository, (uploaded.get(repository) ?? 0) + chunk.length),
  );
  return undefined;
};

const base: Edge = {
  vertex: vertex(SOURCE('docker-image://docker.io/library/busybox:latest'), [], {
    metadata: { name: 'base' },
  }),
  output: 0,
};

function run(command: string, input: Edge = base): Edge {
  return { vertex: vertex(execOf(command), [input], { metadata: { name: command } }), output: 0 };
}

const ONE = 'head -c 300000 /dev/urandom > /one';
const TWO = 'echo two > /two';
const chain = () => run(TWO, run(ONE));
const DONE = { [ONE]: 'done', [TWO]: 'done' };
const CACHED = { [ONE]: 'cached', [TWO]: 'cached' };

/** The files that the build is about. */
async function files(worker: CachedWorker, ref: LayersRef): Promise<string> {
  return `${await worker.world.read(ref, 'one')}${await worker.world.read(ref, 'two')}`;
}

async function manifestOf(repository: string, reference: string): Promise<Manifest> {
  const answer = await registry.client.send('GET', `/v2/${repository}/manifests/${reference}`);
  expect(answer.status).toBe(200);
  return json(answer) as Manifest;
}

async function tags(): Promise<string[]> {
  return (json(await registry.client.send('GET', '/v2/slipway/build-cache/tags/list')) as { tags: string[] })
    .tags;
}

describe('a push of what was built here', () => {
  it('carries no byte of a layer, but the configuration alone', async () => {
    await one.build(chain(), async (ref) => {
      await one.records.settled();
      expect(uploaded.get('slipway/build-cache')).toBeGreaterThan(300_000);
      uploaded.clear();
      const { digest } = await one.push(ref, `${host}/team/app:1`);
      const { config, layers } = await manifestOf('team/app', digest);
      expect(layers).toHaveLength(3);
      expect(Object.fromEntries(uploaded)).toEqual({ 'team/app': config.size });
    });
    expect(one.failures).toEqual([]);
  });

  it('waits for what is on its way, so that no layer is sent twice', async () => {
    await one.build(chain(), async (ref) => {
      const { digest } = await one.push(ref, `${host}/team/app:1`);
      await one.records.settled();
      const { config, layers } = await manifestOf('team/app', digest);
      const bytes = layers.reduce((sum, { size }) => sum + size, 0);
      // That of records is `{}`.
      expect(Object.fromEntries(uploaded)).toEqual({
        'slipway/build-cache': bytes + 2,
        'team/app': config.size,
      });
    });
  });
});

describe('docker push of what was built here', () => {
  it('carries no byte of a layer either', async () => {
    await one.build(chain(), (ref) => one.push(ref, `${host}/team/app:3`, { push: 'false' }));
    await one.records.settled();
    uploaded.clear();
    await one.world.images.pusher.push(parseImageReference(`${host}/team/app:3`));
    const { config } = await manifestOf('team/app', '3');
    expect(Object.fromEntries(uploaded)).toEqual({ 'team/app': config.size });
  });
});

describe('an image in the store', () => {
  it('is found by its digest, too, where that is asked for', async () => {
    await one.build(run(TWO), async (ref) => {
      const { store, rows } = one.world.images;
      const attrs = { push: 'false', unpack: 'true', 'name-canonical': 'true' };
      const { digest } = await one.push(ref, `${host}/team/app:4`, {
        ...attrs,
        'dangling-name-prefix': 'gone',
      });
      const names = (await rows.images.digests()).map((it) => `${it.repository}@${it.digest}`);
      expect(names).toEqual(expect.arrayContaining([`${host}/team/app@${digest}`]));
      const { id } = await store.resolve(`${host}/team/app:4`);
      expect((await store.resolve(`${host}/team/app@${digest}`)).id).toBe(id);
      expect((await store.resolve(`gone@${digest}`)).id).toBe(id);
      const nameless = { 'danging-name-empty-only': 'true', 'dangling-name-prefix': 'other' };
      await one.push(ref, `${host}/team/app:5`, { push: 'false', ...nameless });
      await expect(store.resolve(`other@${digest}`)).rejects.toThrow('No such image');
    });
  });
});

describe('what the registry has yet to get', () => {
  const unsent = async (worker: CachedWorker) =>
    (await worker.local.unsent(100, [])).map(({ step }) => step.description).sort();
  const refuse: UpstreamProxy['fault'] = (_request, response) => {
    response.writeHead(503).end();
    return 'handled';
  };

  it('is sent by the next process, when this one ends before it could', async () => {
    proxy.fault = refuse;
    await one.build(chain(), async () => {});
    await one.records.settled();
    one.sender[Symbol.dispose]();
    expect(await unsent(one)).toEqual([TWO, ONE]);
    proxy.fault = count;
    expect((await registry.client.send('GET', '/v2/slipway/build-cache/tags/list')).status).toBe(404);
    // As a start does: what was in memory is gone.
    one.restart();
    one.sender.start();
    await expect.poll(() => unsent(one), { timeout: 30_000 }).toEqual([]);
    await one.records.settled();
    expect(await tags()).not.toHaveLength(0);
    await using two = await CachedWorker.open(`${host}/slipway/build-cache`);
    expect((await two.build(chain(), (ref) => files(two, ref))).shown).toMatchObject(CACHED);
  });

  it('is tried again when the registry answers again', async () => {
    one.restart({ silenceMs: 200 });
    proxy.fault = refuse;
    await one.build(chain(), async () => {});
    await one.records.settled();
    expect(await unsent(one)).toEqual([TWO, ONE]);
    proxy.fault = count;
    await expect.poll(() => unsent(one), { timeout: 45_000 }).toEqual([]);
    await one.records.settled();
    expect(await tags()).not.toHaveLength(0);
  });
});

describe('another worker with the same registry', () => {
  let two: CachedWorker;
  beforeEach(async () => {
    two = await CachedWorker.open(`${host}/slipway/build-cache`);
  });
  afterEach(() => two[Symbol.asyncDispose]());

  async function builtByOne(): Promise<string> {
    const { shown, made } = await one.build(chain(), (ref) => files(one, ref));
    expect(shown).toMatchObject(DONE);
    await one.records.settled();
    return made;
  }

  it('does no step again, and has the same files', async () => {
    const expected = await builtByOne();
    const { shown, made } = await two.build(chain(), (ref) => files(two, ref));
    expect(shown).toMatchObject(CACHED);
    expect(made).toBe(expected);
  });

  it('brings no layer that nobody reads, and pushes them without having them', async () => {
    await builtByOne();
    const { shown } = await two.build(chain(), async (ref) => {
      proxy.asked.length = 0;
      uploaded.clear();
      const { digest } = await two.push(ref, `${host}/team/app:2`, { store: 'false' });
      const { config } = await manifestOf('team/app', digest);
      expect(Object.fromEntries(uploaded)).toEqual({ 'team/app': config.size });
    });
    expect(shown).toMatchObject(CACHED);
    expect(proxy.count('GET', '/blobs/')).toBe(0);
  });

  it('keeps what it has brought: the registry is not asked again', async () => {
    await builtByOne();
    await two.build(chain(), (ref) => files(two, ref));
    await two.build(chain(), (ref) => files(two, ref));
    proxy.asked.length = 0;
    const { shown } = await two.build(chain(), async () => {});
    expect(shown).toMatchObject({ [TWO]: 'cached' });
    expect(proxy.asked).toEqual([]);
  });

  it('does a step whose layers are gone', async () => {
    await builtByOne();
    proxy.fault = (request, response) => {
      if (request.method !== 'HEAD' || !request.url!.includes('/blobs/')) return count(request, response);
      response.writeHead(404).end();
      return 'handled';
    };
    expect((await two.build(chain(), (ref) => files(two, ref))).shown).toMatchObject(DONE);
  });

  it('does a step whose layers turn out to be something else, the next time', async () => {
    await one.build(run(ONE), async () => {});
    await one.records.settled();
    const read = (ref: LayersRef) => two.world.read(ref, 'one');
    proxy.fault = (request, response) => {
      if (request.method !== 'GET' || !request.url!.includes('/blobs/')) return undefined;
      response.writeHead(200).end('something else');
      return 'handled';
    };
    // Its bytes, its length or its digest: the first that is looked at.
    await expect(two.build(run(ONE), read)).rejects.toThrow();
    proxy.fault = count;
    expect((await two.build(run(ONE), read)).shown).toMatchObject({ [ONE]: 'done' });
  });

  it('takes no record for another step, nor what is none', async () => {
    await builtByOne();
    const records = await Promise.all((await tags()).map((tag) => manifestOf('slipway/build-cache', tag)));
    const ofOne = records.find((it) => it.annotations?.['org.opencontainers.image.description'] === ONE);
    const payload = JSON.stringify(ofOne);
    for (const tag of await tags()) await putManifest(registry.client, 'slipway/build-cache', tag, payload);
    const { shown } = await two.build(chain(), (ref) => files(two, ref));
    expect(shown).toMatchObject({ [ONE]: 'cached', [TWO]: 'done' });
    const three = await CachedWorker.open(`${host}/slipway/build-cache`);
    await using _ = three;
    const image = JSON.stringify({ ...JSON.parse(payload), artifactType: undefined, annotations: {} });
    for (const tag of await tags()) await putManifest(registry.client, 'slipway/build-cache', tag, image);
    expect((await three.build(chain(), (ref) => files(three, ref))).shown).toMatchObject(DONE);
  });

  it.each([500, 401])('builds by itself when the registry answers %d', async (status) => {
    await builtByOne();
    proxy.fault = (_request, response) => {
      response.writeHead(status).end();
      return 'handled';
    };
    expect((await two.build(chain(), (ref) => files(two, ref))).shown).toMatchObject(DONE);
    await two.records.settled();
    // Told once, and not asked again for a while.
    expect(two.failures).toHaveLength(1);
  });
});

describe('a registry that keeps its cache within bounds', () => {
  const repository = 'slipway/build-cache';

  it('takes nothing beyond its quota: builds go on, and one says why', async () => {
    await registry.housekeeping.quotas.set('slipway', 1000, SYSTEM);
    expect((await one.build(chain(), (ref) => files(one, ref))).shown).toMatchObject(DONE);
    await one.records.settled();
    expect(one.failures.map(String)).toEqual([expect.stringContaining('quota exceeded')]);
    expect((await one.build(chain(), async () => {})).shown).toMatchObject({ [TWO]: 'cached' });
    await one.records.settled();
    expect(one.failures).toHaveLength(1);
    await using two = await CachedWorker.open(`${host}/${repository}`);
    expect((await two.build(chain(), async () => {})).shown).toMatchObject(DONE);
    // With more room, what was not taken is sent by the next process at the latest.
    await registry.housekeeping.quotas.set('slipway', 10_000_000, SYSTEM);
    one.restart();
    one.sender.start();
    await expect.poll(() => one.local.unsent(100, [])).toEqual([]);
    await one.records.settled();
    await using three = await CachedWorker.open(`${host}/${repository}`);
    expect((await three.build(chain(), (ref) => files(three, ref))).shown).toMatchObject(CACHED);
  });

  it('collects what no rule keeps: it is done again, and brought again by who still has it', async () => {
    const { made } = await one.build(chain(), (ref) => files(one, ref));
    await one.records.settled();
    const recorded = await tags();
    const { layers } = await manifestOf(repository, recorded[0]!);
    // As docs/buildkit.md says.
    const month = 30 * 86_400_000;
    const rule = { repositories: repository, tags: '*', keepNewest: undefined };
    const { retentionRules } = registry.housekeeping;
    await retentionRules.add(
      { ...rule, subject: 'tagged', keepPushedWithin: month, keepPulledWithin: month },
      SYSTEM,
    );
    await retentionRules.add(
      { ...rule, subject: 'untagged', keepPushedWithin: 1, keepPulledWithin: undefined },
      SYSTEM,
    );
    expect(await registry.housekeeping.retention.run()).toEqual({ tags: 0 });
    const longAgo = Date.now() - month - 1;
    await registry.db.updateTable('tags').set({ updated_at: longAgo }).execute();
    await registry.db.updateTable('pulls').set({ last_pulled_at: longAgo }).execute();
    expect(await registry.housekeeping.retention.run()).toEqual({ tags: recorded.length });
    // Manifests, what repositories have of them, blobs: each makes work for the next, for later.
    for (let round = 0; round < 4; round++) {
      await registry.housekeeping.gcStatus.makeDue();
      await registry.housekeeping.collector.run({ contentDelay: 0 });
    }
    const blob = async (digest: string) =>
      (await registry.client.send('HEAD', `/v2/${repository}/blobs/${digest}`)).status;
    expect(await Promise.all(layers.map(({ digest }) => blob(digest)))).toEqual(layers.map(() => 404));

    await using two = await CachedWorker.open(`${host}/${repository}`);
    expect((await two.build(chain(), async () => {})).shown).toMatchObject(DONE);
    // The first one believes that the registry has it all.
    const again = await one.build(chain(), async (ref) => {
      await one.push(ref, `${host}/team/app:3`);
      return files(one, ref);
    });
    expect(again).toMatchObject({ shown: CACHED, made });
    const pushed = await manifestOf('team/app', '3');
    for (const { digest } of pushed.layers) {
      const answer = await registry.client.send('HEAD', `/v2/team/app/blobs/${digest}`);
      expect(answer.status).toBe(200);
    }
  });
});
