import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TarEntry } from '#tar/entry.ts';
import { withinRoot } from '#tar/rooted-path.ts';
import { writeTar } from '#tar/writer.ts';
import { ArchiveTree } from '#worker/build/files/archive-tree.ts';
import { resolvePath } from '#worker/build/files/file-tree.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'slipway-archive-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function treeOf(
  entries: (Partial<TarEntry> & { path: string; content?: string })[],
): Promise<ArchiveTree> {
  const inputs = entries.map(({ content = '', ...entry }) => ({
    entry: {
      type: 'file',
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtime: 1,
      size: content.length,
      ...entry,
    } as TarEntry,
    body: [Buffer.from(content)],
  }));
  const file = join(directory, 'archive.tar');
  writeFileSync(file, await buffer(writeTar(inputs)));
  return new ArchiveTree(file, { maxEntries: 1000 });
}

function read(tree: ArchiveTree, path: string): string {
  const chunk = Buffer.alloc(3);
  let text = '';
  for (;;) {
    const bytes = tree.read(path, chunk, text.length);
    if (bytes === 0) return text;
    text += chunk.toString('utf8', 0, bytes);
  }
}

function paths(tree: ArchiveTree, at = ''): string[] {
  return tree.names(at).flatMap((name) => {
    const path = at === '' ? name : `${at}/${name}`;
    return [path, ...(tree.node(path)!.type === 'directory' ? paths(tree, path) : [])];
  });
}

describe('an archive as a tree', () => {
  it('knows every file, and directories that nobody described', async () => {
    using tree = await treeOf([
      { path: 'd/e/f', content: 'one' },
      { path: './g', content: 'second' },
      { path: 'empty' },
    ]);
    expect(paths(tree)).toEqual(['d', 'd/e', 'd/e/f', 'empty', 'g']);
    expect([read(tree, 'd/e/f'), read(tree, 'g'), read(tree, 'empty')]).toEqual(['one', 'second', '']);
    expect(tree.node('d')).toMatchObject({ type: 'directory', mode: 0o755 });
    expect(tree.node('nope')).toBeUndefined();
  });

  it('lets the later of two entries win, and merges directories', async () => {
    using tree = await treeOf([
      { path: 'a', content: 'old' },
      { path: 'a', content: 'new' },
      { path: 'd/x', content: '1' },
      { path: 'd/', type: 'directory', mode: 0o700 },
      { path: 'e/y', content: '1' },
      { path: 'e', content: 'a file now' },
    ]);
    expect(read(tree, 'a')).toBe('new');
    expect(paths(tree)).toEqual(['a', 'd', 'd/x', 'e']);
    expect(tree.node('d')!.mode).toBe(0o700);
  });

  it('follows links in paths inside of itself', async () => {
    using tree = await treeOf([
      { path: 'real/', type: 'directory' },
      { path: 'link', type: 'symlink', linkPath: '/real' },
      { path: 'link/f', content: 'through' },
    ]);
    expect(read(tree, 'real/f')).toBe('through');
    await expect(
      treeOf([
        { path: 'link', type: 'symlink', linkPath: '../../etc' },
        { path: 'link/f', content: 'x' },
      ]),
    ).rejects.toThrow('leads nowhere');
  });

  it('gives hard links one identity and one content', async () => {
    using tree = await treeOf([
      { path: 'a', content: 'same' },
      { path: 'd/b', type: 'hardlink', linkPath: 'a' },
      { path: 'c', type: 'hardlink', linkPath: 'd/b' },
    ]);
    expect(new Set(['a', 'd/b', 'c'].map((path) => tree.node(path)!.identity))).toEqual(new Set(['a']));
    expect(read(tree, 'c')).toBe('same');
    await expect(treeOf([{ path: 'x', type: 'hardlink', linkPath: 'missing' }])).rejects.toThrow('hard link');
  });

  it('forgets what is excluded, and keeps directories of what is not', async () => {
    using tree = await treeOf([
      { path: 'a/keep' },
      { path: 'a/drop' },
      { path: 'b/drop' },
      { path: 'empty/', type: 'directory' },
    ]);
    tree.exclude((path) => path !== 'a/keep');
    expect(paths(tree)).toEqual(['a', 'a/keep']);
  });

  it('has a limit of entries', async () => {
    const many = Array.from({ length: 1100 }, (_, at) => ({ path: `f${at}` }));
    await expect(treeOf(many)).rejects.toMatchObject({ kind: 'too-large' });
  });
});

describe('paths in a tree', () => {
  it('never lead out', () => {
    expect(['/../../a', 'a/../../b', './/c//', '..', 'a/..'].map(withinRoot)).toEqual([
      'a',
      'b',
      'c',
      '',
      '',
    ]);
  });

  it('end where links end', async () => {
    using tree = await treeOf([
      { path: 'd/f' },
      { path: 'up', type: 'symlink', linkPath: '../../../d' },
      { path: 'abs', type: 'symlink', linkPath: '/up/f' },
      { path: 'loop', type: 'symlink', linkPath: 'loop' },
      { path: 'gone', type: 'symlink', linkPath: 'nowhere' },
    ]);
    expect(resolvePath(tree, 'up/f')).toBe('d/f');
    expect(resolvePath(tree, 'abs')).toBe('d/f');
    expect(resolvePath(tree, 'abs', { followLast: false })).toBe('abs');
    expect(resolvePath(tree, 'gone')).toBeUndefined();
    expect(resolvePath(tree, 'd/f/below')).toBeUndefined();
    expect(() => resolvePath(tree, 'loop')).toThrow('too many levels of symbolic links');
  });
});
