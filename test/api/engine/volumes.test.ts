import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NetworkEngine } from './network-engine.ts';

describe('volumes over the Engine API', () => {
  let engine: NetworkEngine;
  beforeAll(async () => {
    engine = await NetworkEngine.open();
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  test('docker volume create, ls, inspect, rm', async () => {
    expect(await engine.docker('volume', 'create', '--label', 'team=blue', 'data')).toBe('data');
    expect(await engine.docker('volume', 'create', 'data')).toBe('data');
    const [inspected] = JSON.parse(await engine.docker('volume', 'inspect', 'data'));
    expect(inspected).toMatchObject({
      Name: 'data',
      Driver: 'local',
      Scope: 'local',
      Labels: { team: 'blue' },
      Options: null,
      Mountpoint: join(engine.lab.directory, 'volumes', 'data', '_data'),
    });
    expect(await engine.docker('volume', 'ls', '--format', '{{.Driver}} {{.Name}}')).toBe('local data');
    expect(await engine.docker('volume', 'rm', 'data')).toBe('data');
    expect(await engine.docker('volume', 'inspect', 'data')).toMatch(/no such volume/i);
    expect(await engine.docker('volume', 'rm', '--force', 'data')).toBe('data');
  });

  test('what is wrong is said in the words and numbers of the engine', async () => {
    await engine.docker('volume', 'create', 'used');
    await engine.volumes.acquire('used', 'c0ffee');
    expect(await engine.request('DELETE', '/volumes/used')).toEqual({
      status: 409,
      body: { message: 'remove used: volume is in use - [c0ffee]' },
    });
    await engine.volumes.release('used', 'c0ffee');
    expect((await engine.request('DELETE', '/volumes/used')).status).toBe(204);
    expect((await engine.request('DELETE', '/volumes/used')).status).toBe(404);
    expect((await engine.request('POST', '/volumes/create', { Name: 'a/b' })).status).toBe(400);
    expect((await engine.request('POST', '/volumes/create', { Name: 'ab', Driver: 'x' })).status).toBe(404);
    expect((await engine.request('GET', '/volumes?filters={"dangling":["maybe"]}')).status).toBe(400);
  });

  test('pruning takes what nobody named, and the rest when asked', async () => {
    await engine.docker('volume', 'create', 'named');
    const anonymous = await engine.docker('volume', 'create');
    await writeFile(join(engine.lab.directory, 'volumes', anonymous, '_data', 'file'), 'twelve bytes');
    const prune = async (version: string, filters: object = {}) =>
      (await engine.request('POST', `/${version}/volumes/prune?filters=${JSON.stringify(filters)}`)).body;
    expect(await prune('v1.42')).toEqual({ VolumesDeleted: [anonymous], SpaceReclaimed: 12 });
    expect(await prune('v1.42', { all: ['true'], label: ['none'] })).toEqual({
      VolumesDeleted: [],
      SpaceReclaimed: 0,
    });
    expect((await prune('v1.42', { all: { true: true } })).VolumesDeleted).toEqual(['named']);
    // Before 1.42 there was no difference.
    await engine.docker('volume', 'create', 'named');
    expect((await prune('v1.41')).VolumesDeleted).toEqual(['named']);
    await engine.docker('volume', 'create', 'named');
    expect(await engine.docker('volume', 'prune', '--force', '--filter', 'label!=kept')).toMatch(
      /reclaimed space: 0B$/,
    );
  });

  test('lists are filtered', async () => {
    await engine.docker('volume', 'create', '--label', 'env=test', 'filter-a');
    await engine.docker('volume', 'create', 'filter-b');
    await engine.volumes.acquire('filter-b', 'c1');
    const names = (filter: string) => engine.docker('volume', 'ls', '--quiet', '--filter', filter);
    expect(await names('name=filter')).toBe('filter-a\nfilter-b');
    expect(await names('dangling=true')).toBe('filter-a');
    expect(await names('dangling=false')).toBe('filter-b');
    expect(await names('label=env')).toBe('filter-a');
    expect(await names('driver=other')).toBe('');
    await engine.volumes.release('filter-b', 'c1');
    await engine.docker('volume', 'rm', 'filter-a', 'filter-b');
  });

  test('a tmpfs and a directory of the host are mounted while they are used', async () => {
    const outside = join(engine.lab.directory, 'outside');
    await engine.docker(
      ...['volume', 'create', '--opt', 'type=tmpfs', '--opt', 'device=tmpfs'],
      '--opt',
      'o=size=1m',
      'quick',
    );
    await engine.docker(
      ...['volume', 'create', '--opt', 'type=none', '--opt', `device=${engine.lab.directory}`],
      '--opt',
      'o=bind',
      'host',
    );
    const mounts = async () =>
      (await readFile('/proc/self/mounts', 'utf8'))
        .split('\n')
        .filter((line) => line.includes(engine.lab.directory));
    const [quick, host] = [
      await engine.volumes.acquire('quick', 'c1'),
      await engine.volumes.acquire('host', 'c1'),
    ];
    expect((await mounts()).join('\n')).toMatch(/tmpfs [^ ]*quick\/_data tmpfs rw,relatime,size=1024k/);
    await writeFile(join(host.mountpoint, 'outside'), 'kept');
    for (const { name } of [quick, host]) {
      await engine.volumes.release(name, 'c1');
      await engine.docker('volume', 'rm', name);
    }
    expect(await mounts()).toEqual([]);
    expect(await readFile(outside, 'utf8')).toBe('kept');
  });
});
