import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TarEntry } from '#tar/entry.ts';
import { WINDOW_BYTES } from '#worker/snapshots/tree/messages.ts';
import { collect, packed, pieces, unpacked } from '../../unit/tar/tar-bytes.ts';
import { OverlayWorld } from './overlay-world.ts';

let world: OverlayWorld;
beforeEach(async () => {
  world = await OverlayWorld.open(undefined, { maxLayerBytes: 8 * 1024 * 1024, maxLayerEntries: 1000 });
});
afterEach(() => world[Symbol.asyncDispose]());

let count = 0;
async function apply(tar: Buffer, chunk = 10_000): Promise<string> {
  const key = `layer-${count++}`;
  await world.snapshotter.prepare(key);
  await world.applier.apply(key, pieces(tar, chunk));
  return world.snapshotter.directory(key);
}

type File = Partial<TarEntry> & { path: string; content?: string };
const applied = async (...files: File[]) => apply(await packed(files));
const dir = (path: string, mode = 0o755): File => ({ path, type: 'directory', mode });
const link = (path: string, linkPath: string): File => ({ path, type: 'symlink', linkPath });

/** What `find` sees: everything that a layer carries of a tree. */
function listing(directory: string): string {
  return execFileSync('find', ['.', '-mindepth', '1', '-printf', '%p %y %m %U %G %T@ %l %n %s\\n'], {
    cwd: directory,
    encoding: 'utf8',
  })
    .split('\n')
    .map((line) => (/ d \d/.test(line) ? line.replace(/ \d+ \d+$/, '') : line))
    .sort()
    .join('\n');
}

describe('an applied layer', () => {
  it('is what GNU tar makes of the same archive, and gives the same archive back', async () => {
    const source = join(world.folder, 'source');
    mkdirSync(join(source, 'dir/sub'), { recursive: true });
    writeFileSync(join(source, 'dir/file'), 'x'.repeat(70_000));
    writeFileSync(join(source, 'dir/setuid'), '#!', { mode: 0o755 });
    symlinkSync('/absolute/target', join(source, 'dir/sub/link'));
    symlinkSync('../file', join(source, 'dir/sub/relative'));
    const script = [
      'chown 12:34 dir/setuid; chmod 4751 dir/setuid; chmod 1777 dir/sub; chown -h 5:6 dir/sub/link',
      'ln dir/file dir/hard; mknod null c 1 3; mknod loop b 7 300; mkfifo fifo; chmod 664 fifo',
      'setcap cap_net_raw+ep dir/setuid 2>/dev/null || true',
      'find . -exec touch -h -d "2023-05-06 07:08:09 UTC" {} +',
    ];
    execFileSync('sh', ['-c', script.join('\n')], { cwd: source });
    const tar = execFileSync(
      'tar',
      ['--format=pax', '--xattrs', '--xattrs-include=*', '-C', source, '-cf', '-', '.'],
      {
        maxBuffer: 1e8,
      },
    );
    const expected = join(world.folder, 'expected');
    mkdirSync(expected);
    execFileSync('tar', ['--xattrs', '--xattrs-include=*', '--same-owner', '-xpf', '-', '-C', expected], {
      input: tar,
    });

    const directory = await apply(tar);
    expect(listing(directory)).toBe(listing(expected));
    expect(listing(directory)).toContain('./dir/setuid f 4751 12 34 1683356889');

    const key = `layer-${count - 1}`;
    const again = await collect(world.comparer.tar(key));
    const copy = await apply(again, 777);
    expect(listing(copy)).toBe(listing(expected));
    const digest = `sha256:${createHash('sha256').update(again).digest('hex')}`;
    expect(await world.comparer.digest(key)).toMatchObject({ diffId: digest, tarBytes: again.length });
    expect((await world.comparer.digest(`layer-${count - 1}`)).diffId).toBe(digest);
  });

  it('gives the same archive from memory that it fills again and again', async () => {
    await applied({ path: 'noise', content: randomBytes(3_000_000).toString('latin1') });
    const key = `layer-${count - 1}`;
    const copies: Buffer[] = [];
    const memory = new Set<ArrayBufferLike>();
    for await (const piece of world.comparer.tar(key, { lent: true })) {
      copies.push(Buffer.from(piece));
      memory.add(piece.buffer);
    }
    expect(Buffer.concat(copies).equals(await collect(world.comparer.tar(key)))).toBe(true);
    // Given back, each of them is empty here.
    expect([...memory].map(({ byteLength }) => byteLength)).toEqual([...memory].map(() => 0));
  });

  it('carries extended attributes, but never those that steer overlayfs', async () => {
    const value = Buffer.from([1, 0, 255, 10]);
    const xattrs = new Map<string, Uint8Array>([
      ['user.note', value],
      ['trusted.overlay.redirect', Buffer.from('/etc')],
    ]);
    const tar = await packed([
      { path: 'f', content: 'x', xattrs },
      { ...dir('d'), xattrs },
    ]);
    await apply(tar);
    const files = await unpacked(await collect(world.comparer.tar(`layer-${count - 1}`)));
    for (const { entry } of files) expect([...entry.xattrs!]).toEqual([['user.note', value]]);
    expect(files).toHaveLength(2);
  });

  it.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const)('may be compressed with %s; its diff ID is the tar’s', async (_, compress) => {
    const tar = await packed([{ path: 'f', content: 'hello' }]);
    await world.snapshotter.prepare('compressed');
    const { diffId, bytes, tarBytes } = await world.applier.apply('compressed', pieces(compress(tar), 50));
    expect(diffId).toBe(`sha256:${createHash('sha256').update(tar).digest('hex')}`);
    expect({ bytes, tarBytes }).toEqual({ bytes: 5, tarBytes: tar.length });
  });

  it('makes the directories that it has no entries for', async () => {
    const directory = await applied({ path: 'a/b/c', content: 'x' });
    expect(lstatSync(join(directory, 'a/b')).mode & 0o7777).toBe(0o755);
  });

  it('keeps names that are not UTF-8, byte for byte', async () => {
    const latin1 = (text: string) => Buffer.from(text, 'latin1');
    const source = join(world.folder, 'source');
    mkdirSync(Buffer.concat([Buffer.from(`${source}/`), latin1('d\xe9')]), { recursive: true });
    writeFileSync(Buffer.concat([Buffer.from(`${source}/`), latin1('d\xe9/\xfcber')]), 'x');
    symlinkSync(latin1('\xe9\xe8'), Buffer.concat([Buffer.from(`${source}/`), latin1('l\xff')]));
    for (const format of ['gnu', 'pax']) {
      const tar = execFileSync('tar', [`--format=${format}`, '--mtime=@1', '-C', source, '-cf', '-', '.']);
      const directory = await apply(tar);
      const find = (folder: string) =>
        execFileSync('sh', ['-c', 'find . -mindepth 1 -printf "%p %l\\n" | LC_ALL=C sort | od -c'], {
          cwd: folder,
          encoding: 'utf8',
        });
      expect(find(directory)).toBe(find(source));
      const copy = await apply(await collect(world.comparer.tar(`layer-${count - 1}`)));
      expect(find(copy)).toBe(find(source));
    }
  });

  it('is the later of two entries with one path', async () => {
    const directory = await applied(
      { path: 'a', content: 'first' },
      { path: 'a', content: 'second' },
      dir('d'),
      { path: 'd/x', content: '' },
      { path: 'd', content: 'a file now' },
      { path: 'e', content: 'a directory later' },
      dir('e', 0o700),
      dir('f', 0o700),
      { path: 'f/kept', content: '' },
      dir('f', 0o750),
    );
    expect(readFileSync(join(directory, 'a'), 'utf8')).toBe('second');
    expect(readFileSync(join(directory, 'd'), 'utf8')).toBe('a file now');
    expect(lstatSync(join(directory, 'e')).isDirectory()).toBe(true);
    expect(lstatSync(join(directory, 'f')).mode & 0o777).toBe(0o750);
    expect(existsSync(join(directory, 'f/kept'))).toBe(true);
  });
});

describe('whiteouts', () => {
  /** A base with some files, and what is seen when a layer of `files` lies on it. */
  async function onBase(...files: File[]): Promise<{ target: string; key: string }> {
    await world.snapshotter.prepare('base');
    const base = await packed([
      dir('d'),
      { path: 'd/old', content: '1' },
      { path: 'd/other', content: '2' },
      { path: 'f', content: '3' },
    ]);
    await world.applier.apply('base', pieces(base, 512));
    await world.snapshotter.commit('base', 'base-layer');
    const key = 'upper';
    await world.snapshotter.prepare(key, 'base-layer');
    await world.applier.apply(key, pieces(await packed(files), 512));
    const target = join(world.folder, 'target');
    mkdirSync(target);
    await world.mounter.mount(await world.snapshotter.mount(key), target);
    return { target, key };
  }

  it('delete what is below', async () => {
    const { target, key } = await onBase(dir('d'), { path: 'd/.wh.old' }, { path: '.wh.f' });
    expect(execFileSync('find', ['.'], { cwd: target, encoding: 'utf8' }).trim().split('\n').sort()).toEqual([
      '.',
      './d',
      './d/other',
    ]);
    expect(await world.comparer.changes(key)).toEqual([
      { path: '/d', kind: 'modified' },
      { path: '/d/old', kind: 'deleted' },
      { path: '/f', kind: 'deleted' },
    ]);
    const paths = (await unpacked(await collect(world.comparer.tar(key)))).map(({ entry }) => entry.path);
    expect(paths).toEqual(['d/', 'd/.wh.old', '.wh.f']);
  });

  it('hide all of a directory, wherever in the layer they stand', async () => {
    const { target, key } = await onBase(
      dir('d'),
      { path: 'd/new', content: 'n' },
      { path: 'd/.wh..wh..opq' },
    );
    expect(execFileSync('ls', ['d'], { cwd: target, encoding: 'utf8' }).trim()).toBe('new');
    expect(await world.comparer.changes(key)).toEqual([
      { path: '/d', kind: 'modified' },
      { path: '/d/new', kind: 'added' },
      { path: '/d/old', kind: 'deleted' },
      { path: '/d/other', kind: 'deleted' },
    ]);
    const paths = (await unpacked(await collect(world.comparer.tar(key)))).map(({ entry }) => entry.path);
    expect(paths).toEqual(['d/', 'd/.wh..wh..opq', 'd/new']);
  });

  it('never delete what their own layer has', async () => {
    const { target } = await onBase(
      { path: 'f', content: 'mine' },
      { path: '.wh.f' },
      { path: '.wh.d' },
      dir('d'),
      { path: 'd/x', content: '' },
    );
    expect(readFileSync(join(target, 'f'), 'utf8')).toBe('mine');
    expect(execFileSync('ls', ['d'], { cwd: target, encoding: 'utf8' }).trim()).toBe('x');
  });

  it('are what the engine makes of a directory that was deleted and made again', async () => {
    const { target, key } = await onBase();
    rmSync(join(target, 'd'), { recursive: true });
    mkdirSync(join(target, 'd'));
    writeFileSync(join(target, 'd/old'), 'new');
    expect(await world.comparer.changes(key)).toEqual([
      { path: '/d', kind: 'modified' },
      { path: '/d/old', kind: 'modified' },
      { path: '/d/other', kind: 'deleted' },
    ]);
  });
});

describe('a hostile layer', () => {
  const outside = () => join(world.folder, 'outside');
  beforeEach(() => {
    mkdirSync(outside());
    writeFileSync(join(outside(), 'victim'), 'untouched');
  });
  afterEach(() => {
    expect(readFileSync(join(outside(), 'victim'), 'utf8')).toBe('untouched');
    expect(execFileSync('ls', [outside()], { encoding: 'utf8' }).trim()).toBe('victim');
  });

  it('writes through its symbolic links inside of its root only', async () => {
    const directory = await applied(
      link('out', outside()),
      { path: 'out/victim', content: 'absolute' },
      link('up', '../../../../../../../..'),
      { path: `up${outside()}/victim`, content: 'relative' },
      link('loop', 'up/out'),
      { path: 'loop/third', content: 'chained' },
    );
    expect(readFileSync(join(directory, outside(), 'victim'), 'utf8')).toBe('relative');
    expect(readFileSync(join(directory, outside(), 'third'), 'utf8')).toBe('chained');
  });

  it('replaces a symbolic link instead of writing to its target', async () => {
    const victim = join(outside(), 'victim');
    const directory = await applied(
      link('a', victim),
      { path: 'a', content: 'mine', mode: 0o777 },
      link('b', outside()),
      dir('b', 0o700),
    );
    expect(lstatSync(join(directory, 'a')).isFile()).toBe(true);
    expect(lstatSync(join(directory, 'b')).isDirectory()).toBe(true);
    expect(lstatSync(outside()).mode & 0o777).not.toBe(0o700);
  });

  it('sets no times through a link that took a directory’s place', async () => {
    const before = lstatSync(outside()).mtimeMs;
    mkdirSync(join(world.folder, 'elsewhere/sub'), { recursive: true });
    await applied({ ...dir('a'), mtime: 1 }, { ...dir('a/outside'), mtime: 1 }, link('a', world.folder));
    expect(lstatSync(outside()).mtimeMs).toBe(before);
  });

  it('links to nothing outside', async () => {
    const victim = join(outside(), 'victim');
    await expect(applied({ path: 'h', type: 'hardlink', linkPath: victim })).rejects.toMatchObject({
      kind: 'invalid',
    });
    await expect(
      applied({ path: 'h', type: 'hardlink', linkPath: '../../../etc/passwd' }),
    ).rejects.toMatchObject({ kind: 'invalid' });
    await expect(
      applied(link('o', outside()), { path: 'h', type: 'hardlink', linkPath: 'o/victim' }),
    ).rejects.toMatchObject({ kind: 'invalid' });
    // A link to a link is that link again, and leads nowhere new.
    const directory = await applied(
      link('o', victim),
      { path: 'h', type: 'hardlink', linkPath: 'o' },
      { path: 'h', content: 'x' },
    );
    expect(readlinkSync(join(directory, 'o'))).toBe(victim);
  });

  it.each([
    ['a path that climbs out', [{ path: '../outside/victim', content: 'x' }]],
    ['a whiteout of the directory above', [{ path: '.wh...' }]],
    ['a whiteout of nothing', [{ path: '.wh.' }]],
    [
      'a file where a directory must be',
      [
        { path: 'f', content: '' },
        { path: 'f/g', content: '' },
      ],
    ],
    ['links in a circle', [link('a', 'b'), link('b', 'a'), { path: 'a/x', content: '' }]],
    ['a root that is a file', [{ path: '.', type: 'file', content: '' } as File]],
    ['a hard link to a directory', [dir('d'), { path: 'h', type: 'hardlink', linkPath: 'd' } as File]],
    ['a name that is too long', [{ path: 'n'.repeat(300), content: '' }]],
  ])('is refused: %s', async (_, files) => {
    await expect(applied(...files)).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('ends at its limits when it is a bomb', async () => {
    const bomb = gzipSync(
      Buffer.concat([await packed([{ path: 'a', content: 'x' }]), Buffer.alloc(64 * 1024 * 1024)]),
    );
    await expect(apply(bomb)).rejects.toMatchObject({ kind: 'too-large' });
    const many = await packed(Array.from({ length: 1001 }, (_, i) => ({ path: `f${i}`, content: '' })));
    await expect(apply(many)).rejects.toMatchObject({ kind: 'too-large' });
  });

  it('is refused when its compression is broken', async () => {
    const good = gzipSync(await packed([{ path: 'a', content: 'x'.repeat(5000) }]));
    await expect(apply(good.subarray(0, good.length - 20))).rejects.toMatchObject({ kind: 'invalid' });
    const flipped = Buffer.from(good);
    flipped[20] = flipped[20]! ^ 0xff;
    await expect(apply(flipped)).rejects.toMatchObject({ kind: 'invalid' });
    await expect(apply(Buffer.from('BZh91AY&SY'))).rejects.toMatchObject({ kind: 'invalid' });
  });
});

describe('applying', () => {
  it('stops when it is told to', async () => {
    await world.snapshotter.prepare('stopped');
    const controller = new AbortController();
    const endless = (async function* () {
      yield await packed([{ path: 'a', content: 'x' }]);
      controller.abort();
      for (;;) yield Buffer.alloc(512);
    })();
    await expect(
      world.applier.apply('stopped', endless, { signal: controller.signal }),
    ).rejects.toMatchObject({ kind: 'canceled' });
  });

  it('takes no more of its source than is being worked off', async () => {
    await world.snapshotter.prepare('bounded');
    let taken = 0;
    const zeros = (async function* () {
      for (; taken < 64 * 1024 * 1024; taken += 64 * 1024) yield Buffer.alloc(64 * 1024);
    })();
    const done = world.applier.apply('bounded', zeros).catch((error: unknown) => error);
    // Everything that can be taken without the thread's answers has been by the time the event loop turns.
    while (taken === 0) await new Promise(setImmediate);
    expect(taken).toBeLessThanOrEqual(WINDOW_BYTES + 64 * 1024);
    expect(await done).toMatchObject({ kind: 'too-large' });
  });

  it('fails as its source does', async () => {
    await world.snapshotter.prepare('failed');
    const failing = (async function* () {
      yield await packed([{ path: 'a', content: 'x' }]);
      throw new Error('the source broke');
    })();
    await expect(world.applier.apply('failed', failing)).rejects.toThrow('the source broke');
  });
});
