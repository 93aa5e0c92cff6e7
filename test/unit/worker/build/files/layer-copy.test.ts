import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copyIntoLayer } from '#worker/build/files/layer-copy.ts';
import { TreeCopy, type TreeCopyOptions } from '#worker/build/files/tree-copy.ts';
import { mountSync, setPathTimes, setXattr, unmount } from '#worker/snapshots/libc.ts';
import { ChunkBuffer } from '#worker/snapshots/tree/chunk-buffer.ts';
import { listDirectory } from '#worker/snapshots/tree/directory-listing.ts';
import { packLayer } from '#worker/snapshots/tree/layer-packer.ts';
import { makeWhiteout } from '#worker/snapshots/tree/overlay-marks.ts';
import { settleChanges } from '#worker/snapshots/tree/settle-changes.ts';

/** A tree, by name: a file's content and mode, a link's target, what is in a directory, or nothing any more. */
type Tree = { readonly [name: string]: Node };
type Node =
  | { readonly kind: 'file'; readonly text: string; readonly mode: number; readonly age: number }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'directory'; readonly tree: Tree; readonly mode: number; readonly age: number }
  | { readonly kind: 'gone' };

const OLD = 1_600_000_000;
let folder: string;
let rounds = 0;
let room: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-layer-copy-'));
  newRoom();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('copyIntoLayer', () => {
  it('says of a layer what packing it says, and settles nothing that is not settled', () => {
    const source = made('source', {
      'a.txt': file('a', 0o600),
      link: { kind: 'link', target: 'a.txt' },
      deep: directory({ er: directory({ big: file('x'.repeat(3_000_000)), none: file('') }, 0o2775) }),
      ['long'.repeat(60)]: directory({ ['name'.repeat(50)]: file('b', 0o4755) }),
    });
    linkSync(`${source}/a.txt`, `${source}/deep/same`);
    const below = made('below', { opt: directory({}, 0o700) });
    const copied = copy(source, { destination: '/opt/new/app', lowers: [below] });
    expect(copied).toEqual(packed([below]));
    expect(lstatSync(`${room}/upper/opt`).mode & 0o7777).toBe(0o700);
    expect(lstatSync(`${room}/upper/opt/new/app/deep/same`).nlink).toBe(2);
  });

  it('takes a file under its own name into a directory, and under another one', () => {
    const source = made('source', { 'package.json': file('{}') });
    const below = made('below', { app: directory({ old: file('old') }) });
    for (const [destination, path] of [
      ['/app/', 'app/package.json'],
      ['/app', 'app/package.json'],
      ['/app/new/', 'app/new/package.json'],
      ['/app/old', 'app/old'],
      ['/new', 'new'],
    ] as const) {
      const copied = copy(source, { path: '/package.json', destination, lowers: [below] });
      expect(copied, destination).toEqual(packed([below]));
      expect(readFileSync(`${room}/upper/${path}`, 'utf8')).toBe('{}');
      newRoom();
    }
  });

  it('gives owner, mode and time that are asked for', () => {
    const source = made('source', { bin: directory({ run: file('#!') }) });
    const options = {
      owner: { uid: 7, gid: 8 },
      mode: () => 0o4750,
      parentMode: 0o4750,
      time: { seconds: 1_000, nanoseconds: 5 },
    };
    const copied = copy(source, { destination: '/app', lowers: [] }, options);
    expect(copied).toEqual(packed([]));
    for (const path of ['app', 'app/bin', 'app/bin/run']) {
      const { mode, uid, gid, mtimeMs } = lstatSync(`${room}/upper/${path}`);
      expect({ mode: mode & 0o7777, uid, gid, seconds: Math.floor(mtimeMs / 1000) }).toEqual({
        mode: 0o4750,
        uid: 7,
        gid: 8,
        seconds: 1_000,
      });
    }
  });

  it('leaves to others what is not plain', () => {
    const source = made('source', { file: file('x'), tree: directory({ file: file('x') }) });
    const below = made('below', {
      link: { kind: 'link', target: 'app' },
      file: file('below'),
      tree: directory({ file: directory({}) }),
      shared: directory({}, 0o2755),
      marked: directory({}),
    });
    setXattr(`${below}/marked`, 'user.mark', Buffer.from('1'));
    for (const destination of ['/link', '/link/new', '/file', '/tree', '/shared', '/shared/x', '/marked']) {
      expect(copy(source, { path: '/tree', destination, lowers: [below] }), destination).toBeUndefined();
      newRoom();
    }
    // A file goes where the link leads.
    expect(copy(source, { path: '/file', destination: '/link', lowers: [below] })).toBeUndefined();
    newRoom();
    const odd = made('odd', { file: file('x') });
    setXattr(`${odd}/file`, 'user.mark', Buffer.from('1'));
    expect(copy(odd, { destination: '/app', lowers: [] })).toBeUndefined();
  });

  it('is as what TreeCopy makes through overlayfs', async () => {
    let plain = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(trees, { minLength: 1, maxLength: 3 }),
        trees,
        fc.constantFrom('/', '/a'),
        fc.constantFrom('/', '/a', '/b/', '/a/b', '/c/a'),
        async (layers, tree, path, destination) => {
          newRoom();
          const source = made('source', tree);
          const lowers = layers.map((layer, at) => made(`lower-${at}`, layer, at < layers.length - 1));
          if (lowers.length === 1) lowers.push(made('bottom', {}));
          // The kernel's clock for files is a few milliseconds behind.
          const started = Date.now() - 1_000;
          const request = { source, path, destination, lowers };
          let copied: ReturnType<typeof copy>;
          try {
            copied = copy(source, request);
          } catch {
            // A link that leads to itself, say; of several things that are wrong either may say another one.
            await expect(throughOverlay(request, started)).rejects.toThrow();
            return;
          }
          if (!copied) return;
          plain++;
          expect(copied).toEqual(packed(lowers));
          const ours = listed(`${room}/upper`, started);
          expect(ours).toEqual(await throughOverlay(request, started));
        },
      ),
      { numRuns: 200 },
    );
    expect(plain).toBeGreaterThan(20);
  });
});

const names = fc.constantFrom('a', 'b', 'c', 'd');
const ages = fc.constantFrom(0, 100);
const { tree: trees } = fc.letrec<{ tree: Tree; node: Node }>((tie) => ({
  tree: fc.dictionary(names, tie('node'), { maxKeys: 4, depthIdentifier: 'tree' }),
  node: fc.oneof(
    { depthIdentifier: 'tree', maxDepth: 3 },
    fc.record({ kind: fc.constant('file'), text: fc.constantFrom('', 'x', 'y'), mode: modes(), age: ages }),
    fc.record({ kind: fc.constant('directory'), tree: tie('tree'), mode: modes(), age: ages }),
    fc.record({ kind: fc.constant('link'), target: fc.constantFrom('a', 'b') }),
    fc.constant({ kind: 'gone' }),
  ) as fc.Arbitrary<Node>,
}));

function modes() {
  return fc.constantFrom(0o755, 0o644);
}

function file(text: string, mode = 0o644): Node {
  return { kind: 'file', text, mode, age: 0 };
}

function directory(tree: Tree, mode = 0o755): Node {
  return { kind: 'directory', tree, mode, age: 0 };
}

function newRoom(): void {
  room = join(folder, `${rounds++}`);
  for (const name of ['upper', 'other', 'work', 'root']) mkdirSync(join(room, name), { recursive: true });
}

/** `deletes`: there is a layer below that something can be gone of. */
function made(name: string, tree: Tree, deletes = false): string {
  const root = join(room, name);
  fill(root, tree, deletes);
  return root;
}

function fill(root: string, tree: Tree, deletes: boolean): void {
  mkdirSync(root);
  for (const [name, node] of Object.entries(tree)) {
    const path = `${root}/${name}`;
    if (node.kind === 'gone') {
      if (deletes) makeWhiteout(root, name);
      continue;
    }
    if (node.kind === 'directory') fill(path, node.tree, deletes);
    else if (node.kind === 'file') writeFileSync(path, node.text);
    else symlinkSync(node.target, path);
    const age = node.kind === 'link' ? 0 : node.age;
    if (node.kind !== 'link') chmodSync(path, node.mode);
    setPathTimes(path, OLD + age, 123_456_789);
  }
  chownSync(root, 0, 0);
}

function copy(
  source: string,
  { path = '/', ...to }: { path?: string; destination: string; lowers: readonly string[] },
  options: Partial<TreeCopyOptions> = {},
) {
  const request = { source, path, ...to, contents: true, follow: true, upper: `${room}/upper` };
  return copyIntoLayer(request, { replace: false, ...options });
}

/** What the layer comes to when it is settled and packed as others are. */
function packed(lowers: readonly string[]) {
  settleChanges(`${room}/upper`, lowers);
  const hash = createHash('sha256');
  let tarBytes = 0;
  const output = new ChunkBuffer(65_536, (chunk) => {
    hash.update(chunk);
    tarBytes += chunk.length;
  });
  const slices = packLayer(`${room}/upper`, output, { settled: true });
  for (let slice = slices.next(); ; slice = slices.next()) {
    if (slice.done) return { diffId: `sha256:${hash.digest('hex')}`, bytes: slice.value, tarBytes };
  }
}

async function throughOverlay(
  {
    source,
    path,
    destination,
    lowers,
  }: { source: string; path: string; destination: string; lowers: readonly string[] },
  started: number,
): Promise<unknown> {
  const [upper, root] = [`${room}/other`, `${room}/root`];
  const data = `lowerdir=${lowers.join(':')},upperdir=${upper},workdir=${room}/work`;
  mountSync('overlay', root, 'overlay', 0, data);
  try {
    new TreeCopy({ source, target: root }, { replace: false }).copy(path, destination, {
      contents: true,
      follow: true,
    });
  } finally {
    await unmount(root, 0);
  }
  settleChanges(upper, lowers);
  return listed(upper, started);
}

/** All of a tree but when it was made; a new time is any after the start. */
function listed(root: string, started: number, prefix = ''): unknown[] {
  return [...listDirectory(root)].flatMap(({ name, path, stats }) => {
    const { mode, uid, gid, rdev } = stats;
    const modified = stats.mtimeMs >= started ? 'new' : stats.mtimeMs;
    const content = stats.isFile() ? readFileSync(path, 'utf8') : undefined;
    const target = stats.isSymbolicLink() ? readlinkSync(path) : undefined;
    const own = { path: prefix + name, mode, uid, gid, rdev, modified, content, target };
    return stats.isDirectory() ? [own, ...listed(path, started, `${prefix}${name}/`)] : [own];
  });
}
