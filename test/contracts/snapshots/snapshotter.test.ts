import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { volatileMount } from '#worker/snapshots/mount-options.ts';
import { OverlayWorld } from './overlay-world.ts';

let world: OverlayWorld;
beforeEach(async () => {
  world = await OverlayWorld.open();
});
afterEach(() => world[Symbol.asyncDispose]());

async function write(key: string, files: Record<string, string>): Promise<void> {
  const target = await mounted(key);
  for (const [path, content] of Object.entries(files)) await writeFile(join(target, path), content);
  await world.mounter.unmount(target);
}

async function mounted(key: string): Promise<string> {
  const target = join(world.folder, `at-${key}`);
  await mkdir(target, { recursive: true });
  await world.mounter.mount(await world.snapshotter.mount(key), target);
  return target;
}

async function keys(): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of world.snapshotter.walk()) found.push(key);
  return found;
}

describe('a snapshotter', () => {
  it('stacks what each snapshot changed', async () => {
    await world.snapshotter.prepare('a');
    await write('a', { one: '1', both: 'a' });
    await world.snapshotter.commit('a', 'layer-a');
    await world.snapshotter.prepare('b', 'layer-a');
    await write('b', { two: '2', both: 'b' });
    await world.snapshotter.commit('b', 'layer-b');
    const top = await mounted('layer-b');
    expect((await readdir(top)).sort()).toEqual(['both', 'one', 'two']);
    expect(await readFile(join(top, 'both'), 'utf8')).toBe('b');
    expect(await readFile(join(await mounted('layer-a'), 'both'), 'utf8')).toBe('a');
    expect(await world.snapshotter.stat('layer-b')).toMatchObject({ kind: 'committed', parent: 'layer-a' });
  });

  it('keeps a committed snapshot from being written, with one layer and with several', async () => {
    for (const [key, parent] of [
      ['a', undefined],
      ['b', 'layer-a'],
    ] as const) {
      await world.snapshotter.prepare(key, parent);
      await world.snapshotter.commit(key, `layer-${key}`);
      const target = await mounted(`layer-${key}`);
      await expect(writeFile(join(target, 'x'), '')).rejects.toMatchObject({ code: 'EROFS' });
    }
  });

  it('stacks a snapshot on another parent when it is committed', async () => {
    await world.snapshotter.prepare('top');
    await write('top', { top: 't' });
    await world.snapshotter.prepare('bottom');
    await write('bottom', { bottom: 'b' });
    await world.snapshotter.commit('bottom', 'layer-bottom');
    await world.snapshotter.commit('top', 'layer-top', { parent: 'layer-bottom' });
    expect((await readdir(await mounted('layer-top'))).sort()).toEqual(['bottom', 'top']);
  });

  it('has keys only once, and parents only when they are committed', async () => {
    await world.snapshotter.prepare('a');
    await expect(world.snapshotter.prepare('a')).rejects.toMatchObject({ kind: 'conflict' });
    await expect(world.snapshotter.prepare('b', 'a')).rejects.toMatchObject({ kind: 'not-found' });
    await expect(world.snapshotter.prepare('b', 'none')).rejects.toMatchObject({ kind: 'not-found' });
    await expect(world.snapshotter.mount('none')).rejects.toMatchObject({ kind: 'not-found' });
    await world.snapshotter.commit('a', 'layer');
    await world.snapshotter.prepare('b');
    await expect(world.snapshotter.commit('b', 'layer')).rejects.toMatchObject({ kind: 'conflict' });
    expect(await keys()).toEqual(['layer', 'b']);
  });

  it('removes what nothing stands on, with its files', async () => {
    await world.snapshotter.prepare('a');
    const directory = await world.snapshotter.directory('a');
    await world.snapshotter.commit('a', 'layer');
    await world.snapshotter.prepare('b', 'layer');
    await expect(world.snapshotter.remove('layer')).rejects.toMatchObject({ kind: 'conflict' });
    await world.snapshotter.remove('b');
    await world.snapshotter.remove('layer');
    await world.snapshotter.remove('layer');
    await world.snapshotter.settled();
    await expect(stat(directory)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await readdir(join(world.folder, 'snapshots', 'trash'))).toEqual([]);
  });

  it('gives a new snapshot the root directory of its parent', async () => {
    await world.snapshotter.prepare('a');
    const directory = await world.snapshotter.directory('a');
    const { chmod, chown } = await import('node:fs/promises');
    await chown(directory, 7, 8);
    await chmod(directory, 0o1770);
    await world.snapshotter.commit('a', 'layer');
    await world.snapshotter.prepare('b', 'layer');
    const { mode, uid, gid } = await stat(await mounted('b'));
    expect([mode & 0o7777, uid, gid]).toEqual([0o1770, 7, 8]);
  });

  it('counts a snapshot’s own bytes and inodes, links once', async () => {
    await world.snapshotter.prepare('a');
    await write('a', { f: 'x'.repeat(1000) });
    const { link } = await import('node:fs/promises');
    const directory = await world.snapshotter.directory('a');
    await link(join(directory, 'f'), join(directory, 'g'));
    expect(await world.snapshotter.usage('a')).toEqual({ bytes: 1000, inodes: 1 });
    await world.snapshotter.commit('a', 'layer');
    expect(await world.snapshotter.usage('layer')).toEqual({ bytes: 1000, inodes: 1 });
    expect(await world.snapshotter.usage('layer')).toEqual({ bytes: 1000, inodes: 1 });
  });

  it('mounts 125 layers', async () => {
    let parent: string | undefined;
    for (let i = 0; i < 125; i++) {
      await world.snapshotter.prepare(`active-${i}`, parent);
      await writeFile(join(await world.snapshotter.directory(`active-${i}`), `file-${i}`), '');
      parent = `layer-${i}`;
      await world.snapshotter.commit(`active-${i}`, parent);
    }
    await world.snapshotter.prepare('top', parent);
    expect(await readdir(await mounted('top'))).toHaveLength(125);
  });
});

describe('after a crash', () => {
  it('a directory without row is removed, a row without directory too, with what stands on it', async () => {
    await world.snapshotter.prepare('a');
    await world.snapshotter.commit('a', 'lost');
    await world.snapshotter.prepare('on-lost', 'lost');
    await world.snapshotter.prepare('kept');
    await rm(join(await world.snapshotter.directory('lost'), '..'), { recursive: true });
    const stray = join(world.folder, 'snapshots', '99');
    await mkdir(join(stray, 'fs'), { recursive: true });
    await mkdir(join(world.folder, 'snapshots', 'trash', '50', 'fs'), { recursive: true });
    world = await world.restart();
    await world.snapshotter.settled();
    expect(await keys()).toEqual(['kept']);
    expect(await readdir(join(world.folder, 'snapshots'))).toEqual(expect.not.arrayContaining(['99', '50']));
    expect(await readdir(join(world.folder, 'snapshots', 'trash'))).toEqual([]);
    // Numbers are never used again, not even those that were only found on the disk.
    await world.snapshotter.prepare('new');
    expect(Number((await world.snapshotter.directory('new')).split('/').at(-2))).toBeGreaterThan(99);
  });
});

describe('a mounter', () => {
  it('mounts again what was mounted without sync', async () => {
    await world.snapshotter.prepare('a');
    await world.snapshotter.commit('a', 'layer');
    await world.snapshotter.prepare('b', 'layer');
    const target = join(world.folder, 'target');
    await mkdir(target);
    for (const content of ['first', 'second']) {
      await world.mounter.mount(volatileMount(await world.snapshotter.mount('b')), target);
      await writeFile(join(target, content), content);
      await world.mounter.unmount(target);
    }
    expect(await readdir(await world.snapshotter.directory('b'))).toEqual(['first', 'second']);
  });

  it('unmounts all layers of a mount, also while it is in use, and what is not mounted', async () => {
    await world.snapshotter.prepare('a');
    const target = join(world.folder, 'a place, with\ttabs');
    await mkdir(target);
    for (let i = 0; i < 3; i++) await world.mounter.mount(await world.snapshotter.mount('a'), target);
    expect(await world.mounter.mountsBelow(world.folder)).toEqual([target, target, target]);
    await writeFile(join(target, 'open'), '');
    const { open } = await import('node:fs/promises');
    const file = await open(join(target, 'open'));
    await world.mounter.unmount(target);
    expect(await world.mounter.mountsBelow(world.folder)).toEqual([]);
    await file.close();
    await world.mounter.unmount(target);
    await world.mounter.unmount(join(world.folder, 'nowhere'));
  });

  it('says why it cannot mount', async () => {
    const mount = { type: 'bind', source: join(world.folder, 'nothing'), options: ['bind'] } as const;
    await expect(world.mounter.mount(mount, world.folder)).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('ENOENT'),
    });
  });
});

describe('a layer in several stacks', () => {
  beforeEach(async () => {
    for (const key of ['base', 'other', 'top']) {
      await world.snapshotter.prepare(key);
      await write(key, { [key]: key });
      await world.snapshotter.commit(key, `layer-${key}`);
    }
    await world.snapshotter.graft('layer-top', 'top-on-base', 'layer-base');
    await world.snapshotter.graft('layer-top', 'top-on-other', 'layer-other');
  });

  it('shows its files on each of them', async () => {
    expect((await readdir(await mounted('top-on-base'))).sort()).toEqual(['base', 'top']);
    expect((await readdir(await mounted('top-on-other'))).sort()).toEqual(['other', 'top']);
    expect(await world.snapshotter.directory('top-on-base')).toBe(
      await world.snapshotter.directory('layer-top'),
    );
  });

  it('is there until the last of them goes, also after a restart', async () => {
    const directory = await world.snapshotter.directory('layer-top');
    await world.snapshotter.remove('layer-top');
    await world.snapshotter.remove('top-on-base');
    world = await world.restart();
    expect(await readFile(join(directory, 'top'), 'utf8')).toBe('top');
    expect((await readdir(await mounted('top-on-other'))).sort()).toEqual(['other', 'top']);
    await world.mounter.unmount(join(world.folder, 'at-top-on-other'));
    await world.snapshotter.remove('top-on-other');
    await world.snapshotter.settled();
    await expect(stat(directory)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('may be twice in one stack', async () => {
    await world.snapshotter.graft('layer-base', 'base-on-top', 'top-on-base');
    expect((await readdir(await mounted('base-on-top'))).sort()).toEqual(['base', 'top']);
  });

  it('does not give two snapshots one name', async () => {
    await expect(world.snapshotter.graft('layer-top', 'top-on-base')).rejects.toMatchObject({
      kind: 'conflict',
    });
    await expect(world.snapshotter.graft('nothing', 'x')).rejects.toMatchObject({ kind: 'not-found' });
  });
});
