import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Digest } from '#oci/digest.ts';
import { ImagesEngine } from './images-engine.ts';

let engine: ImagesEngine;
beforeEach(async () => {
  engine = await ImagesEngine.start();
});
afterEach(() => engine[Symbol.asyncDispose]());

const remove = async (name: string, query = '') =>
  (await engine.call('DELETE', `/images/${name}${query}`)).json;
const list = async (query = '') => (await engine.call('GET', `/images/json${query}`)).json;
const tag = (id: string, name: string) => engine.images.store.tag(id as Digest, name);
const filters = (value: object) => `?filters=${encodeURIComponent(JSON.stringify(value))}`;
async function snapshots(): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of engine.world.snapshotter.walk()) keys.push(key);
  return keys;
}

describe('an image is found', () => {
  it('by name, ID and unique beginning of the ID', async () => {
    const id = await engine.makeImage('a/b:1', 'x');
    for (const name of ['a/b:1', 'docker.io/a/b:1', id, id.slice(7), id.slice(7, 12), id.slice(0, 20)]) {
      expect((await engine.call('GET', `/images/${name}/json`)).json.Id).toBe(id);
    }
    for (const [name, message] of [
      ['a/b', 'No such image: a/b:latest'],
      ['a/b:2', 'No such image: a/b:2'],
      [`sha256:${'0'.repeat(64)}`, `No such image: sha256:${'0'.repeat(64)}`],
    ]) {
      const reply = await engine.call('GET', `/images/${name}/json`);
      expect([reply.status, reply.json.message]).toEqual([404, message]);
    }
  });

  it('by its name before an ID that begins like it', async () => {
    const first = await engine.makeImage('one:1', '1');
    const second = await engine.makeImage('two:1', '2');
    await tag(second, `${first.slice(7, 11)}:latest`);
    expect((await engine.images.store.resolve(first.slice(7, 11))).id).toBe(second);
  });
});

describe('docker tag', () => {
  it('moves a name', async () => {
    const first = await engine.makeImage('one:1', '1');
    const second = await engine.makeImage('two:1', '2');
    expect((await engine.call('POST', '/images/two:1/tag?repo=one&tag=1')).status).toBe(201);
    expect((await engine.images.store.resolve('one:1')).id).toBe(second);
    expect((await engine.images.store.resolve(first)).id).toBe(first);
    expect((await engine.call('POST', '/images/two:1/tag?repo=Bad&tag=1')).status).toBe(400);
    expect((await engine.call('POST', '/images/none/tag?repo=a&tag=1')).status).toBe(404);
  });
});

describe('docker rmi', () => {
  it('removes a name, and the image and its layers with the last one', async () => {
    const id = await engine.makeImage('a:1', 'x');
    await tag(id, 'b:1');
    expect(await remove('a:1')).toEqual([{ Untagged: 'a:1' }]);
    const image = (await engine.call('GET', '/images/b:1/json')).json;
    expect(await remove('b:1')).toEqual([
      { Untagged: 'b:1' },
      { Deleted: id },
      { Deleted: image.RootFS.Layers[0] },
    ]);
    expect(await snapshots()).toEqual([]);
    expect(engine.events.slice(-2).map(({ action }) => action)).toEqual(['untag', 'delete']);
  });

  it('by ID wants force when there are several names', async () => {
    const id = await engine.makeImage('a:1', 'x');
    await tag(id, 'b:1');
    const short = id.slice(7, 19);
    expect(await engine.call('DELETE', `/images/${short}`)).toMatchObject({
      status: 409,
      json: {
        message: `conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories`,
      },
    });
    expect(await remove(short, '?force=1')).toEqual(
      expect.arrayContaining([{ Untagged: 'a:1' }, { Untagged: 'b:1' }, { Deleted: id }]),
    );
  });

  it('keeps what other images stand on', async () => {
    await engine.makeImage('base:1', 'base');
    await engine.makeImage('top:1', 'top', 'base:1');
    const base = await engine.images.store.resolve('base:1');
    const short = base.id.slice(7, 19);
    expect(await engine.call('DELETE', `/images/${base.id}?force=1`)).toMatchObject({
      status: 409,
      json: {
        message: `conflict: unable to delete ${short} (cannot be forced) - image has dependent child images`,
      },
    });
    expect(await remove('base:1')).toEqual([{ Untagged: 'base:1' }]);
    // With the last child its parent, which has no name any more, goes too.
    expect((await remove('top:1')).filter((line: object) => 'Deleted' in line)).toHaveLength(4);
    expect(await snapshots()).toEqual([]);
  });

  it('keeps the parent when it was asked not to prune', async () => {
    await engine.makeImage('base:1', 'base');
    await engine.makeImage('top:1', 'top', 'base:1');
    await remove('base:1');
    await remove('top:1', '?noprune=1');
    expect(await list()).toHaveLength(1);
  });

  it('keeps what containers use: a stopped one until forced, a running one always', async () => {
    const id = (await engine.makeImage('a:1', 'x')) as Digest;
    const container = 'c'.repeat(64);
    await engine.images.store.retain(id, `container:${container}`);
    const image = await engine.images.store.get(id);
    await engine.world.snapshotter.prepare(container, image.snapshot);
    expect((await engine.call('DELETE', '/images/a:1')).json.message).toBe(
      `conflict: unable to remove repository reference "a:1" (must force) - container cccccccccccc is using its referenced image ${id.slice(7, 19)}`,
    );
    engine.running.add(container);
    expect((await engine.call('DELETE', `/images/${id}?force=1`)).json.message).toBe(
      `conflict: unable to delete ${id.slice(7, 19)} (cannot be forced) - image is being used by running container cccccccccccc`,
    );
    engine.running.clear();
    expect((await engine.call('DELETE', `/images/${id}`)).json.message).toContain(
      '(must be forced) - image is being used by stopped container',
    );
    expect(await remove(id, '?force=1')).toEqual([{ Untagged: 'a:1' }, { Deleted: id }]);
    // The container still stands on the layer, which goes when it does.
    expect(await snapshots()).toHaveLength(2);
    await engine.world.snapshotter.remove(container);
    await engine.images.store.release(id, `container:${container}`);
    expect(await snapshots()).toEqual([]);
  });

  it('keeps layers that a build cache holds, and what they stand on', async () => {
    await engine.makeImage('base:1', 'base');
    const top = await engine.images.store.resolve(await engine.makeImage('top:1', 'top', 'base:1'));
    await engine.images.store.retainLayer(top.snapshot as Digest, 'build-cache:1');
    await remove('base:1');
    await remove('top:1');
    await engine.images.pruner.prune(new Map());
    expect(await snapshots()).toHaveLength(2);
    expect(await engine.images.store.releaseLayer(top.snapshot as Digest, 'build-cache:1')).toBe(
      'base'.length + 'top'.length,
    );
    expect(await snapshots()).toEqual([]);
    await expect(engine.images.store.retainLayer(top.snapshot as Digest, 'x')).rejects.toMatchObject({
      kind: 'not-found',
    });
  });
});

describe('docker image prune', () => {
  it('removes images without a name; with dangling=false all that nobody uses', async () => {
    const dangling = await engine.makeImage('a:1', 'old');
    await engine.makeImage('a:1', 'newer');
    const used = (await engine.makeImage('used:1', 'used')) as Digest;
    await engine.images.store.retain(used, `container:${'d'.repeat(64)}`);
    const first = (await engine.call('POST', '/images/prune')).json;
    expect(first.ImagesDeleted).toContainEqual({ Deleted: dangling });
    expect(first.SpaceReclaimed).toBe(3);
    expect((await list()).map((image: { RepoTags: string[] }) => image.RepoTags[0]).sort()).toEqual([
      'a:1',
      'used:1',
    ]);
    const second = (await engine.call('POST', `/images/prune${filters({ dangling: ['false'] })}`)).json;
    expect(second.ImagesDeleted).toContainEqual({ Untagged: 'a:1' });
    expect((await list()).map((image: { Id: string }) => image.Id)).toEqual([used]);
    expect((await engine.call('POST', '/images/prune')).json).toEqual({
      ImagesDeleted: null,
      SpaceReclaimed: 0,
    });
  });
});

describe('docker images', () => {
  it('filters, in both forms that clients send', async () => {
    await engine.makeImage('app/one:1', '1');
    await engine.makeImage('app/two:1', '2');
    await engine.makeImage('gone:1', '3');
    await engine.makeImage('gone:1', '4');
    const names = async (query: string) =>
      (await list(query))
        .flatMap((image: { RepoTags: string[] }) => (image.RepoTags.length ? image.RepoTags : ['-']))
        .sort();
    expect(await names('')).toEqual(['-', 'app/one:1', 'app/two:1', 'gone:1']);
    expect(await names(filters({ dangling: { true: true } }))).toEqual(['-']);
    expect(await names(filters({ dangling: ['false'] }))).toEqual(['app/one:1', 'app/two:1', 'gone:1']);
    expect(await names(filters({ reference: ['app/*'] }))).toEqual(['app/one:1', 'app/two:1']);
    expect(await names(filters({ until: ['2020-01-01'] }))).toEqual([]);
    expect(await names(filters({ label: ['x'] }))).toEqual([]);
    expect((await engine.call('GET', `/images/json${filters({ nonsense: ['x'] })}`)).status).toBe(400);
  });

  it('hides what builds left between, and counts what is shared', async () => {
    const base = await engine.makeImage('base:1', 'base');
    await engine.makeImage('top:1', 'top', 'base:1');
    await engine.images.remover.remove('base:1');
    expect(await list()).toHaveLength(1);
    const all = await list('?all=1&shared-size=1');
    expect(all.find((image: { Id: string }) => image.Id === base)).toMatchObject({
      RepoTags: [],
      SharedSize: 4,
      Size: 4,
    });
    expect((await engine.call('GET', '/images/top:1/history')).json).toMatchObject([
      { Tags: ['top:1'] },
      { Id: base },
    ]);
  });
});

describe('after a restart', () => {
  it('everything is there, and what was half done is not', async () => {
    await engine.makeImage('a:1', 'x');
    await engine.world.snapshotter.prepare('unpack-half');
    await engine.world.snapshotter.prepare('someone-else');
    await engine.world.snapshotter.prepare('orphan');
    await engine.world.snapshotter.commit('orphan', `sha256:${'1'.repeat(64)}`);
    engine = await engine.restart();
    expect(await list()).toMatchObject([{ RepoTags: ['a:1'], Size: 1 }]);
    expect((await snapshots()).filter((key) => !key.startsWith('sha256:'))).toEqual(['someone-else']);
    expect(await snapshots()).toHaveLength(2);
  });

  it('an image whose files are lost is gone, and can be made again', async () => {
    const id = await engine.makeImage('a:1', 'x');
    const { snapshot } = await engine.images.store.get(id as Digest);
    const { rm } = await import('node:fs/promises');
    await rm(dirname(await engine.world.snapshotter.directory(snapshot!)), { recursive: true });
    engine = await engine.restart();
    expect(await list()).toEqual([]);
    expect(await engine.makeImage('a:1', 'x')).toBe(id);
  });
});
