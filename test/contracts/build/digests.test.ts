import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EMPTY } from '#worker/build/solve/ref.ts';
import { DriversWorld, type FileActionWish, fileOf } from './drivers-world.ts';

let world: DriversWorld;
let folder: string;
let count = 0;
beforeAll(async () => {
  world = await DriversWorld.open();
});
beforeEach(async () => {
  folder = await world.folder(`tree-${count++}`);
  await mkdir(join(folder, 'd/sub'), { recursive: true });
  await writeFile(join(folder, 'd/a'), 'a');
  await writeFile(join(folder, 'd/sub/b'), 'b');
  await writeFile(join(folder, 'other'), 'o');
});
afterAll(() => world[Symbol.asyncDispose]());

const copy = (more: object = {}) => ({ type: 'copy', src: '/d', dest: '/x/', ...more }) as FileActionWish;

/** The content key of a copy, of the directory as it is now. */
async function digest(more: object = {}): Promise<string> {
  const { contents } = await world.keys(fileOf(copy(more)), [
    EMPTY,
    world.directory(folder, `now ${count++}`),
  ]);
  expect(contents[0]).toBeUndefined();
  return contents[1]!;
}

describe('the contents of a directory', () => {
  it('are names, modes, links and bytes, and no times', async () => {
    const before = await digest();
    await utimes(join(folder, 'd/a'), 1, 1);
    await utimes(join(folder, 'd'), 1, 1);
    await writeFile(join(folder, 'other'), 'changed');
    expect(await digest()).toBe(before);
    const changes = [
      () => writeFile(join(folder, 'd/sub/b'), 'B'),
      () => chmod(join(folder, 'd/a'), 0o600),
      () => writeFile(join(folder, 'd/new'), ''),
      () => symlink('a', join(folder, 'd/link')),
      () => rm(join(folder, 'd/new')),
    ];
    const seen = new Set([before]);
    for (const change of changes) {
      await change();
      seen.add(await digest());
    }
    expect(seen.size).toBe(changes.length + 1);
  });

  it('are what a pattern selects', async () => {
    const included = () => digest({ src: '/', includePatterns: ['d/a'] });
    const before = await included();
    await writeFile(join(folder, 'd/sub/b'), 'changed');
    await writeFile(join(folder, 'other'), 'changed');
    expect(await included()).toBe(before);
    await writeFile(join(folder, 'd/a'), 'changed');
    expect(await included()).not.toBe(before);
    const wild = await digest({ src: '/o*' });
    await writeFile(join(folder, 'only'), '');
    expect(await digest({ src: '/o*' })).not.toBe(wild);
  });

  it('are the same wherever they are', async () => {
    await mkdir(join(folder, 'moved'));
    await writeFile(join(folder, 'moved/file'), 'a');
    await writeFile(join(folder, 'file'), 'a');
    expect(await digest({ src: '/moved/file' })).toBe(await digest({ src: '/file' }));
    const there = world.directory(folder);
    const [layers] = await world.run(fileOf(copy({ src: '/', dest: '/' })), [EMPTY, there]);
    const keys = await world.keys(fileOf(copy()), [EMPTY, layers!]);
    expect(keys.contents[1]).toBe(await digest());
  });

  it('are told to be missing as BuildKit does', async () => {
    await expect(digest({ src: '/nothing' })).rejects.toMatchObject({
      kind: 'not-found',
      message: expect.stringMatching(
        /^failed to calculate checksum of ref \w{25}::\w{25}: "\/nothing": not found$/,
      ),
    });
    const parents = { src: '/', includePatterns: ['d/nothing'], requiredPaths: ['/d/nothing'] };
    await expect(digest(parents)).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('do not reach out by links', async () => {
    await symlink('/etc/shadow', join(folder, 'shadow'));
    await expect(digest({ src: '/shadow' })).rejects.toMatchObject({ kind: 'not-found' });
    expect(await digest({ src: '/shadow', followSymlink: false })).toMatch(/^sha256:[0-9a-f]{64}$/);
  });
});

describe('what is read of a ref', () => {
  it('is files, directories and what they are', async () => {
    const { reader } = world.drivers;
    const ref = world.directory(folder);
    await symlink('a', join(folder, 'd/link'));
    const options = { signal: world.context.signal };
    const text = async (path: string, range?: { offset: number; length: number }) =>
      Buffer.from(await reader.readFile(ref, path, { ...options, ...(range && { range }) })).toString();
    expect(await text('/d/link')).toBe('a');
    expect(await text('other', { offset: 1, length: 5 })).toBe('');
    await expect(text('/d')).rejects.toMatchObject({ kind: 'invalid' });
    await expect(text('/no')).rejects.toMatchObject({ kind: 'not-found' });
    const listed = await reader.readDirectory(ref, '/d', options);
    expect(listed.map(({ path }) => path)).toEqual(['a', 'link', 'sub']);
    expect(
      (await reader.readDirectory(ref, '/d', { ...options, include: 's*' })).map(({ path }) => path),
    ).toEqual(['sub']);
    expect(await reader.statFile(ref, '/d/link', options)).toMatchObject({
      path: 'link',
      linkname: 'a',
      mode: 2 ** 27 + 0o777,
    });
    expect(await reader.statFile(ref, '/d', options)).toMatchObject({ path: 'd', mode: 2 ** 31 + 0o755 });
    expect(await reader.statFile(ref, '/other', options)).toMatchObject({ size: 1n, mode: 0o644 });
  });
});

describe('a file that has not changed', () => {
  it('is not read again', async () => {
    await writeFile(join(folder, 'd/big'), Buffer.alloc(10_000, 'x'));
    const before = await digest();
    // What tells a change from none: neither the inode nor its times say that there was one.
    const memory = join(world.root, 'builder/digests');
    for (const name of await readdir(memory)) {
      const text = await readFile(join(memory, name), 'utf8');
      await writeFile(join(memory, name), text.replace(/[0-9a-f]{64}/g, 'f'.repeat(64)));
    }
    expect(await digest()).not.toBe(before);
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
    expect(files.length).toBeGreaterThan(2);
    for (const file of files) await writeFile(file, await readFile(file));
    expect(await digest()).toBe(before);
  });
});

describe('what is known of a directory', () => {
  const memory = () => join(world.root, 'builder/digests');
  const known = async () => (await readdir(memory())).sort();

  it('is removed when the directory is gone, as is what a killed worker left', async () => {
    await digest();
    const before = await known();
    const passing = folder;
    folder = await mkdtemp(join(world.root, 'gone-'));
    await mkdir(join(folder, 'd'));
    await digest();
    expect((await known()).length).toBe(before.length + 1);
    await rm(folder, { recursive: true });
    folder = passing;
    await writeFile(join(memory(), `${before[0]}.1.2`), 'half of i');
    await writeFile(join(memory(), 'f'.repeat(64)), '"an-id"\n"a" 33188:0:0 1 aaaa 1 2 3');
    await world.drivers.reconcile();
    expect(await known()).toEqual(before);
  });

  it('is removed while the worker runs, too', async () => {
    const gone = await mkdtemp(join(world.root, 'gone-'));
    await mkdir(join(gone, 'd'));
    const kept = folder;
    await digest();
    const before = await known();
    folder = gone;
    await digest();
    expect((await known()).length).toBe(before.length + 1);
    folder = kept;
    await rm(gone, { recursive: true });
    for (let i = 0; i < 25; i++) await digest();
    expect(await known()).toEqual(before);
  });

  it('is not kept when no later build can have it', async () => {
    const before = await known();
    const ref = { ...world.directory(folder, 'a checkout'), passing: true };
    await world.keys(fileOf(copy()), [EMPTY, ref as typeof EMPTY]);
    expect(await known()).toEqual(before);
  });
});
