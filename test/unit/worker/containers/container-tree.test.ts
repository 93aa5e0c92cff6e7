import { link, mkdir, mkdtemp, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TarEntry } from '#tar/entry.ts';
import { readTar } from '#tar/reader.ts';
import { type TarInput, writeTar } from '#tar/writer.ts';
import { ContainerTree } from '#worker/containers/archive/container-tree.ts';
import { TreeReader } from '#worker/containers/archive/tree-reader.ts';
import { TreeWriter } from '#worker/containers/archive/tree-writer.ts';

let directory: string;
let root: string;
let tree: ContainerTree;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slipway-tree-'));
  root = join(directory, 'root');
  await mkdir(join(root, 'etc'), { recursive: true });
  await writeFile(join(root, 'etc/passwd'), 'inside');
  await writeFile(join(directory, 'secret'), 'outside');
  await mkdir(join(directory, 'outside'));
  tree = new ContainerTree(root);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const read = async (path: string) => {
  await using location = await tree.locate(path, { follow: true });
  return location.handle ? await readFile(location.access, 'utf8') : undefined;
};

describe('looking up', () => {
  it('keeps absolute links and .. inside', async () => {
    await symlink('/etc/passwd', join(root, 'absolute'));
    await symlink('../../../../etc/passwd', join(root, 'etc/up'));
    await symlink('/', join(root, 'top'));
    expect(await read('/absolute')).toBe('inside');
    expect(await read('/etc/up')).toBe('inside');
    expect(await read('/top/top/etc/../etc/passwd')).toBe('inside');
    expect(await read('/../../secret')).toBeUndefined();
  });

  it('follows the last link only when asked', async () => {
    await symlink('/etc/passwd', join(root, 'link'));
    await using link = await tree.locate('/link', { follow: false });
    expect(link.stats!.isSymbolicLink()).toBe(true);
    await using target = await tree.locate('/link', { follow: true });
    expect(target.path).toBe('/etc/passwd');
  });

  it('says what is wrong', async () => {
    await symlink('loop', join(root, 'loop'));
    await expect(tree.locate('/loop/x', { follow: true })).rejects.toThrow(
      'too many levels of symbolic links',
    );
    await expect(tree.locate('/etc/passwd/x', { follow: true })).rejects.toThrow('not a directory');
    await expect(tree.locate('/no/such', { follow: true })).rejects.toMatchObject({ kind: 'not-found' });
    await using missing = await tree.locate('/missing', { follow: true });
    expect(missing).toMatchObject({ path: '/missing', stats: undefined });
  });

  it('enters mounts, also through links', async () => {
    await writeFile(join(directory, 'outside/file'), 'mounted');
    await symlink('/data', join(root, 'alias'));
    tree = new ContainerTree(root, [{ destination: '/data', source: join(directory, 'outside') }]);
    await mkdir(join(root, 'data'));
    expect(await read('/alias/file')).toBe('mounted');
    expect(await read('/data/../etc/passwd')).toBe('inside');
  });
});

const entry = (change: Partial<TarEntry> & Pick<TarEntry, 'path' | 'type'>): TarInput => {
  const content = change.type === 'file' ? Buffer.from('new') : undefined;
  const base = {
    mode: 0o644,
    uid: process.getuid!(),
    gid: process.getgid!(),
    size: content?.length ?? 0,
    mtime: 1_600_000_000,
  };
  return { entry: { ...base, ...change }, ...(content && { body: [content] }) };
};
const unpack = (inputs: TarInput[], options = {}) =>
  new TreeWriter().write(tree, '/', readTar(writeTar(inputs)), options);

describe('unpacking', () => {
  it('writes through no link that leads out', async () => {
    await symlink(join(directory, 'outside'), join(root, 'out'));
    await symlink(join(directory, 'secret'), join(root, 'file'));
    // The directory the link names does not exist inside: it is made there.
    await unpack([entry({ path: 'file', type: 'file' })]);
    await unpack([entry({ path: 'out/x', type: 'file' })]).catch(() => undefined);
    expect(await readFile(join(directory, 'secret'), 'utf8')).toBe('outside');
    expect(await readFile(join(root, 'file'), 'utf8')).toBe('new');
    await expect(stat(join(directory, 'outside/x'))).rejects.toThrow('ENOENT');
  });

  it('writes through no link that the archive itself brings', async () => {
    await unpack([
      entry({ path: 'evil', type: 'symlink', linkPath: '../..' }),
      entry({ path: 'evil/secret', type: 'file' }),
    ]);
    expect(await readFile(join(directory, 'secret'), 'utf8')).toBe('outside');
    expect(await readFile(join(root, 'secret'), 'utf8')).toBe('new');
  });

  it('refuses paths and hard links that climb out', async () => {
    await expect(unpack([entry({ path: '../secret', type: 'file' })])).rejects.toMatchObject({
      kind: 'invalid',
    });
    await expect(
      unpack([entry({ path: 'h', type: 'hardlink', linkPath: '../secret' })]),
    ).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('removes what is in the way without following it', async () => {
    await mkdir(join(root, 'd'));
    await symlink(join(directory, 'outside'), join(root, 'd/link'));
    await writeFile(join(directory, 'outside/kept'), 'kept');
    await unpack([entry({ path: 'd', type: 'file' })]);
    expect(await readFile(join(root, 'd'), 'utf8')).toBe('new');
    expect(await readFile(join(directory, 'outside/kept'), 'utf8')).toBe('kept');
  });

  it('keeps directories and files apart when asked', async () => {
    await expect(unpack([entry({ path: 'etc', type: 'file' })], { keepTypes: true })).rejects.toThrow(
      'cannot overwrite directory "/etc" with non-directory',
    );
    await expect(
      unpack([entry({ path: 'etc/passwd', type: 'directory' })], { keepTypes: true }),
    ).rejects.toThrow('cannot overwrite non-directory "/etc/passwd" with directory');
  });
});

it('what is read can be unpacked: files, links, times and modes', async () => {
  await mkdir(join(root, 'a/b'), { recursive: true });
  await writeFile(join(root, 'a/b/file'), 'x'.repeat(100_000), { mode: 0o640 });
  await link(join(root, 'a/b/file'), join(root, 'a/hard'));
  await symlink('b/file', join(root, 'a/soft'));
  const target = join(directory, 'copy');
  await mkdir(target);
  {
    await using location = await tree.locate('/a', { follow: true });
    const archive = writeTar(new TreeReader().read(tree, location, 'a'));
    await new TreeWriter().write(new ContainerTree(target), '/', readTar(archive));
  }
  expect(await readFile(join(target, 'a/hard'), 'utf8')).toHaveLength(100_000);
  expect(await readlink(join(target, 'a/soft'))).toBe('b/file');
  const [before, after] = [await stat(join(root, 'a/b/file')), await stat(join(target, 'a/b/file'))];
  expect(after.mode).toBe(before.mode);
  expect(after.nlink).toBe(2);
  expect(Math.trunc(after.mtimeMs)).toBe(Math.trunc(before.mtimeMs));
});
