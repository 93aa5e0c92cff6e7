import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TarEntry } from '#tar/entry.ts';
import { writeTar } from '#tar/writer.ts';
import { TreePool } from '#worker/snapshots/tree/tree-pool.ts';

/** Archives that are received into the directory of the one before: the task `receive`. */

const LIMITS = { maxBytes: 2 ** 26, maxEntries: 1000 };

let trees: TreePool;
let folder: string;
beforeAll(() => {
  trees = new TreePool();
});
afterAll(() => trees[Symbol.asyncDispose]());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-archive-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

type Part = Partial<Omit<TarEntry, 'size'>> & { readonly path: string; readonly body?: string | Buffer };

const file = (path: string, body: string | Buffer = path, more: Partial<TarEntry> = {}): Part => ({
  ...{ path, body, type: 'file', mode: 0o644 },
  ...more,
});
const directory = (path: string, mode = 0o755, mtime = 5): Part => ({ path, type: 'directory', mode, mtime });
const link = (path: string, linkPath: string, type: 'symlink' | 'hardlink' = 'symlink'): Part => ({
  ...{ path, linkPath, type, mode: 0o777 },
});

function archive(parts: readonly Part[]): AsyncIterable<Uint8Array> {
  return writeTar(
    parts.map(({ body, ...entry }) => {
      const bytes = body === undefined ? undefined : Buffer.from(body as string);
      const whole = { type: 'file', mode: 0, uid: 7, gid: 7, mtime: 1, ...entry, size: bytes?.length ?? 0 };
      return { entry: whole as TarEntry, ...(bytes && bytes.length > 0 && { body: [bytes] }) };
    }),
  );
}

async function receive(parts: readonly Part[], name = 'one') {
  const root = join(folder, name);
  mkdirSync(root, { recursive: true });
  const index = `${root}.index`;
  return trees.run({ op: 'receive', root, index, limits: LIMITS }, { input: archive(parts) });
}

/** All that is below a directory, as far as it counts; `inodes`: which files are still the same. */
function listing(name = 'one'): Record<string, string> {
  const all: Record<string, string> = {};
  const visit = (path: string) => {
    const full = join(folder, name, path);
    const stats = lstatSync(full);
    const kind = stats.isDirectory() ? 'd' : stats.isSymbolicLink() ? 'l' : 'f';
    const content = kind === 'f' ? readFileSync(full, 'latin1') : kind === 'l' ? readlinkSync(full) : '';
    const { mode, uid, gid, mtimeMs } = stats;
    // The root's own time is nobody's, nor is that of a directory that no entry described.
    all[path] = [
      kind,
      (mode & 0o7777).toString(8),
      uid,
      gid,
      path === '' || implied(mtimeMs) ? '' : mtimeMs,
      content,
    ].join(' ');
    if (kind === 'd')
      for (const child of readdirSync(full).sort()) visit(path === '' ? child : `${path}/${child}`);
  };
  visit('');
  return all;
}
const implied = (mtimeMs: number) => mtimeMs > 1e12;
const inode = (path: string) => lstatSync(join(folder, 'one', path)).ino;

const PROJECT = [
  directory('./'),
  file('Dockerfile', 'FROM x'),
  directory('src/'),
  file('src/a'),
  file('src/b', Buffer.alloc(3_000_000, 'b')),
  link('src/link', 'a'),
  directory('src/deep', 0o700),
  file('src/deep/c', '', { mode: 0o4755 }),
];
const without = (path: string) => PROJECT.filter((part) => part.path !== path);
const instead = (part: Part) => PROJECT.map((other) => (other.path === part.path ? part : other));

describe('an archive that comes again', () => {
  it('leaves everything as it is', async () => {
    const first = await receive(PROJECT);
    expect(first).toMatchObject({ entries: 8, bytes: 3_000_011 });
    const before = [listing(), inode('src/a'), inode('src/b'), inode('src/link')];
    expect(await receive(PROJECT)).toEqual(first);
    expect([listing(), inode('src/a'), inode('src/b'), inode('src/link')]).toEqual(before);
  });

  it('is the same with other times, which are kept', async () => {
    const { content } = await receive(PROJECT);
    const before = inode('src/a');
    const later = PROJECT.map((part) => ({ ...part, mtime: 77, mtimeNanoseconds: 5_000_000 }));
    expect((await receive(later)).content).toBe(content);
    expect(inode('src/a')).toBe(before);
    for (const path of ['src/a', 'src/link', 'src/deep']) expect(listing()[path]).toContain(' 77005 ');
  });

  it.each([
    ['a file less', without('src/a')],
    ['a directory less', PROJECT.slice(0, 2)],
    ['a file more', [...PROJECT, file('src/deep/d')]],
    ['another content of the same size', instead(file('src/a', 'src/A'))],
    ['another content of another size', instead(file('src/a', 'longer than it was'))],
    [
      'a large file that differs at its end',
      instead(file('src/b', Buffer.concat([Buffer.alloc(2_999_999, 'b'), Buffer.from('c')]))),
    ],
    ['a large file that differs from the start', instead(file('src/b', Buffer.alloc(3_000_000, 'c')))],
    ['another mode', instead(file('src/a', 'src/a', { mode: 0o755 }))],
    ['another mode of a directory', instead(directory('src/', 0o750))],
    ['a link that leads elsewhere', instead(link('src/link', '/etc'))],
    ['a file in place of a link', instead(file('src/link'))],
    ['a link in place of a file', instead(link('src/a', 'b'))],
    ['a file in place of a directory', [...PROJECT.slice(0, 6), file('src/deep')]],
    [
      'a directory in place of a file',
      [...without('src/a').slice(0, 4), directory('src/a'), file('src/a/x')],
    ],
    ['no root', PROJECT.slice(1)],
    ['another root', instead(directory('./', 0o700))],
    ['a hard link', [...PROJECT, link('src/hard', 'src/a', 'hardlink')]],
    ['a name twice', [...PROJECT, file('src/a', 'again')]],
    ['files before their directory', [file('new/x'), ...PROJECT]],
    [
      'a directory that is a link',
      [directory('./'), directory('src/'), link('lib', 'src'), file('lib/a', 'through')],
    ],
    [
      'a link where a directory was',
      [link('src', 'elsewhere'), directory('elsewhere'), file('elsewhere/a'), file('src/b', 'x')],
    ],
    ['nothing', []],
  ])('with %s makes what it would have made alone', async (_what, parts) => {
    await receive(PROJECT);
    const changed = await receive(parts);
    const alone = await receive(parts, 'alone');
    expect(listing()).toEqual(listing('alone'));
    if (changed.content !== undefined) expect(changed.content).toBe(alone.content);
    // And so does the next one on top of it.
    const again = await receive(PROJECT);
    const fresh = await receive(PROJECT, 'fresh');
    expect(listing()).toEqual(listing('fresh'));
    expect(again.content).toBe(fresh.content);
  });
});

it('knows what its root has become', async () => {
  const closed = instead(directory('./', 0o700));
  for (const parts of [closed, PROJECT.slice(1), closed, PROJECT.slice(1), PROJECT]) {
    await receive(parts);
    expect(listing()['']).toMatch(parts === closed ? /^d 700 / : /^d 755 /);
  }
});

it('leaves no index of an archive that is none, and nothing of what was there counts', async () => {
  await receive(PROJECT);
  const broken = [file('Dockerfile', 'other'), { path: '../out', type: 'file', body: 'x' } as Part];
  await expect(receive(broken)).rejects.toMatchObject({ kind: 'invalid' });
  rmSync(join(folder, 'one.index'), { force: true });
  await receive([file('x')]);
  expect(Object.keys(listing())).toEqual(['', 'x']);
});

it('never writes through links out of its directory', async () => {
  const outside = join(folder, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'a'), 'theirs');
  const tricks: Part[][] = [
    [link('src', outside), file('src/a', 'ours')],
    [directory('src'), file('src/a'), link('src', outside), file('src/a', 'ours')],
    [directory('d'), link('d/l', '../../outside'), file('d/l/a', 'ours')],
  ];
  for (const parts of tricks) {
    await receive(PROJECT);
    await receive(parts);
    await receive(instead(file('src/a', 'mine')));
  }
  expect(readFileSync(join(outside, 'a'), 'utf8')).toBe('theirs');
  expect(readdirSync(outside)).toEqual(['a']);
});

it('keeps to its limits', async () => {
  const many = Array.from({ length: 1001 }, (_, i) => file(`f${i}`));
  await expect(receive(many)).rejects.toMatchObject({ kind: 'too-large' });
});

it('makes of any two archives what the second one makes alone', async () => {
  const name = fc.constantFrom('a', 'b', 'a/a', 'a/b', 'b/a', 'a/a/a', './', 'c');
  const part: fc.Arbitrary<Part> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.tuple(name, fc.constantFrom('', 'x', 'y')).map(([path, body]) => file(path, body)),
    },
    {
      weight: 4,
      arbitrary: fc.tuple(name, fc.constantFrom(0o755, 0o700)).map(([path, mode]) => directory(path, mode)),
    },
    fc.tuple(name, fc.constantFrom('a', '../b', '/', 'c')).map(([path, target]) => link(path, target)),
    fc.tuple(name, fc.constantFrom('a', 'b', 'a/b')).map(([path, target]) => link(path, target, 'hardlink')),
  );
  const parts = fc.array(part, { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(parts, parts, parts, async (...archives) => {
      execFileSync('rm', [
        '-rf',
        ...['one', 'alone'].flatMap((one) => [join(folder, one), `${join(folder, one)}.index`]),
      ]);
      for (const each of archives) {
        rmSync(join(folder, 'alone'), { recursive: true, force: true });
        rmSync(join(folder, 'alone.index'), { force: true });
        const [here, alone] = [await settled(receive(each)), await settled(receive(each, 'alone'))];
        expect(here).toBe(alone);
        if (here === 'failed') rmSync(join(folder, 'one.index'), { force: true });
        else expect(listing()).toEqual(listing('alone'));
      }
      expect(existsSync(join(folder, 'one'))).toBe(true);
    }),
    { numRuns: 40 },
  );
}, 60_000);

const settled = (task: Promise<unknown>) =>
  task.then(
    () => 'made',
    () => 'failed',
  );
