import { existsSync } from 'node:fs';
import { link, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openWorkerDatabase, type WorkerDatabase } from '#database/worker/open.ts';
import type { EngineEvent } from '#worker/events/event-publisher.ts';
import type { Mount, Mounter } from '#worker/snapshots/mount.ts';
import { VolumeService } from '#worker/volumes/volume-service.ts';

class MemoryMounter implements Mounter {
  readonly mounts = new Map<string, Mount>();

  async mount(mount: Mount, target: string): Promise<void> {
    this.mounts.set(target, mount);
  }

  async unmount(target: string): Promise<void> {
    this.mounts.delete(target);
  }

  async mountsBelow(directory: string): Promise<string[]> {
    return [...this.mounts.keys()].filter((target) => target.startsWith(`${directory}/`));
  }
}

describe('volumes', () => {
  let dataDir: string;
  let database: WorkerDatabase;
  let mounter: MemoryMounter;
  let events: EngineEvent[];
  let volumes: VolumeService;

  const open = () =>
    new VolumeService({
      database,
      mounter,
      events: { publish: (event) => events.push(event) },
      options: { dataDir },
    });

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'slipway-volumes-'));
    database = await openWorkerDatabase(':memory:');
    mounter = new MemoryMounter();
    events = [];
    volumes = open();
    await volumes.reconcile([]);
  });
  afterEach(async () => {
    await database.destroy();
    await rm(dataDir, { recursive: true });
  });

  test('a named volume has a directory and is made once', async () => {
    const volume = await volumes.create({ name: 'data', labels: { a: '1' } });
    expect(volume).toMatchObject({ name: 'data', driver: 'local', anonymous: false, labels: { a: '1' } });
    expect(volume.mountpoint).toBe(join(dataDir, 'volumes', 'data', '_data'));
    expect(existsSync(volume.mountpoint)).toBe(true);
    expect(await volumes.create({ name: 'data', labels: { b: '2' } })).toEqual(volume);
    expect(events).toMatchObject([{ type: 'volume', action: 'create', actor: { id: 'data' } }]);
  });

  test('one that nobody named has a name and a mark', async () => {
    const { name, anonymous, labels } = await volumes.create({});
    expect(name).toMatch(/^[0-9a-f]{64}$/);
    expect({ anonymous, labels }).toEqual({ anonymous: true, labels: { 'com.docker.volume.anonymous': '' } });
  });

  test.each([
    [{ name: 'a' }, 'invalid', 'volume name is too short'],
    [{ name: '../up' }, 'invalid', 'includes invalid characters for a local volume name'],
    [{ name: '.removing' }, 'invalid', 'includes invalid characters'],
    [{ name: 'ok', driver: 'rexray' }, 'not-found', 'plugin "rexray" not found'],
    [{ name: 'ok', options: { colour: 'red' } }, 'invalid', 'invalid option: "colour"'],
    [{ name: 'ok', options: { type: 'nfs' } }, 'invalid', 'missing required option: "device"'],
    [
      { name: 'there', options: { type: 'tmpfs', device: 'tmpfs' } },
      'conflict',
      'already exists with different options',
    ],
  ])('%j is refused', async (wish, kind, message) => {
    await volumes.create({ name: 'there' });
    await expect(volumes.create(wish)).rejects.toMatchObject({
      kind,
      message: expect.stringContaining(message),
    });
  });

  test('a used one is neither removed nor pruned', async () => {
    await volumes.create({ name: 'used' });
    await volumes.acquire('used', 'c1');
    await volumes.acquire('used', 'c1');
    await expect(volumes.remove('used', { force: true })).rejects.toMatchObject({
      kind: 'conflict',
      message: 'remove used: volume is in use - [c1]',
    });
    expect(await volumes.prune(() => true)).toEqual({ names: [], reclaimed: 0 });
    await volumes.release('used', 'c1');
    await volumes.remove('used');
    expect(await volumes.get('used')).toBeUndefined();
    await expect(volumes.remove('used')).rejects.toMatchObject({ message: 'get used: no such volume' });
    await volumes.remove('used', { force: true });
    await expect(volumes.acquire('used', 'c1')).rejects.toMatchObject({ kind: 'not-found' });
  });

  test('usage counts a file with two names once', async () => {
    const { mountpoint } = await volumes.create({ name: 'data' });
    await mkdir(join(mountpoint, 'deep'));
    await writeFile(join(mountpoint, 'a'), Buffer.alloc(1000));
    await link(join(mountpoint, 'a'), join(mountpoint, 'deep', 'b'));
    await writeFile(join(mountpoint, 'deep', 'c'), Buffer.alloc(500));
    await volumes.acquire('data', 'c1');
    expect(await volumes.usage()).toMatchObject([{ volume: { name: 'data' }, size: 1500, users: ['c1'] }]);
    await volumes.release('data', 'c1');
    expect(await volumes.prune(() => true)).toEqual({ names: ['data'], reclaimed: 1500 });
    expect(events.at(-1)).toMatchObject({ action: 'prune', actor: { attributes: { reclaimed: '1500' } } });
  });

  test('options mount it while somebody uses it', async () => {
    const options = { type: 'nfs', device: ':/export', o: 'addr=192.0.2.4,rw,nfsvers=4' };
    const { mountpoint } = await volumes.create({ name: 'far', options });
    expect(mounter.mounts.size).toBe(0);
    await volumes.acquire('far', 'c1');
    await volumes.acquire('far', 'c2');
    expect(mounter.mounts.get(mountpoint)).toEqual({
      type: 'nfs',
      source: ':/export',
      options: ['addr=192.0.2.4', 'rw', 'nfsvers=4'],
    });
    expect(await volumes.usage()).toMatchObject([{ size: -1 }]);
    await volumes.release('far', 'c1');
    expect(mounter.mounts.size).toBe(1);
    await volumes.release('far', 'c2');
    expect(mounter.mounts.size).toBe(0);
    await volumes.create({ name: 'near', options: { type: 'none', device: '/srv', o: 'bind,ro' } });
    const near = await volumes.acquire('near', 'c1');
    expect(mounter.mounts.get(near.mountpoint)).toEqual({ type: 'bind', source: '/srv', options: ['ro'] });
  });

  test('the next process forgets users that are gone and mounts again for those that are not', async () => {
    const options = { type: 'tmpfs', device: 'tmpfs' };
    for (const name of ['kept', 'left']) await volumes.create({ name, options });
    const { mountpoint } = await volumes.acquire('kept', 'alive');
    await volumes.acquire('left', 'dead');
    mounter.mounts.delete(mountpoint);
    volumes = open();
    await volumes.reconcile(['alive']);
    expect([...mounter.mounts.keys()]).toEqual([mountpoint]);
    await volumes.remove('left');
    await expect(volumes.remove('kept')).rejects.toMatchObject({ kind: 'conflict' });
  });

  test('a removal that a crash cut short is finished; the name is free at once', async () => {
    const { mountpoint } = await volumes.create({ name: 'half' });
    await writeFile(join(mountpoint, 'file'), 'x');
    await database.updateTable('volumes').set({ removing: 1 }).execute();
    const renamed = join(dataDir, 'volumes', '.removing', 'ab');
    await mkdir(renamed, { recursive: true });
    expect(await volumes.get('half')).toBeUndefined();
    volumes = open();
    await volumes.reconcile([]);
    expect(await readdir(join(dataDir, 'volumes'))).toEqual(['.removing']);
    expect(await readdir(join(dataDir, 'volumes', '.removing'))).toEqual([]);
    await database
      .insertInto('volumes')
      .values({
        name: 'half',
        created_at: new Date().toISOString(),
        labels_json: '{}',
        options_json: '{}',
        anonymous: 0,
        removing: 1,
      })
      .execute();
    await mkdir(mountpoint, { recursive: true });
    await writeFile(join(mountpoint, 'old'), 'x');
    const fresh = await volumes.create({ name: 'half' });
    expect(await readdir(fresh.mountpoint)).toEqual([]);
  });

  test('what nobody knows is not deleted', async () => {
    const { mountpoint } = await volumes.create({ name: 'precious' });
    await writeFile(join(mountpoint, 'file'), 'x');
    await database.deleteFrom('volumes').execute();
    volumes = open();
    await volumes.reconcile([]);
    expect(await readdir((await volumes.create({ name: 'precious' })).mountpoint)).toEqual(['file']);
  });

  test('creating and removing at once never leaves a volume without its directory', async () => {
    const steps = Array.from({ length: 40 }, (_, index) =>
      index % 2 === 0 ? volumes.create({ name: 'busy' }) : volumes.remove('busy', { force: true }),
    );
    await Promise.all(steps);
    const volume = await volumes.get('busy');
    expect(existsSync(join(dataDir, 'volumes', 'busy', '_data'))).toBe(volume !== undefined);
  });
});
