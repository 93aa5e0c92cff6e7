import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ContentDigest, type ContentSelector } from '#worker/build/files/content-digest.ts';
import { ContentManifest } from '#worker/build/files/content-manifest.ts';
import { FileDigests } from '#worker/build/files/file-digests.ts';
import type { KeptTree } from '#worker/build/files/tree-memory.ts';
import { comparePaths } from '#worker/buildkit/fsutil/path-order.ts';
import { TreeReceiver } from '#worker/buildkit/fsutil/tree-receiver.ts';
import {
  PacketSchema,
  Packet_PacketType as PacketType,
} from '#worker/buildkit/proto/github.com/tonistiigi/fsutil/types/wire_pb.ts';

let folder: string;
let root: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-changed-'));
  root = join(folder, 'files');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const DIRECTORY = 2 ** 31 + 0o755;
const PATHS = ['a', 'a/b', 'a/b/c', 'a/d', 'e', 'e/"f\\g"', 'h'];

/** What a client has: of each directory its mode, of each file in it its content. */
type Model = ReadonlyMap<string, { readonly mode: number; readonly files: ReadonlyMap<string, string> }>;

const models: fc.Arbitrary<Model> = fc
  .uniqueArray(
    fc.record({
      path: fc.constantFrom(...PATHS),
      mode: fc.constantFrom(0o755, 0o700),
      files: fc.dictionary(fc.constantFrom('1', '2', 'b'), fc.constantFrom('x', 'y', ''), { maxKeys: 2 }),
    }),
    { selector: ({ path }) => path },
  )
  .map(
    (all) =>
      new Map(all.map(({ path, mode, files }) => [path, { mode, files: new Map(Object.entries(files)) }])),
  );

/** As a walk tells it: no directory without those above, nothing twice. */
function entriesOf(model: Model) {
  const entries = new Map<
    string,
    { path: string; mode: number; modTime: bigint; size: bigint; content: string }
  >();
  for (const [path, { mode }] of model) {
    for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
      const own = model.get(at)?.mode ?? mode;
      entries.set(at, { path: at, mode: DIRECTORY - 0o755 + own, modTime: 1n, size: 0n, content: '' });
    }
  }
  for (const [path, { files }] of model) {
    for (const [name, content] of files) {
      const file = `${path}/${name}`;
      // Its time is of its content: nothing else would say that it has changed.
      const modTime = BigInt(1000 + (content.codePointAt(0) ?? 0));
      if (!entries.has(file))
        entries.set(file, { path: file, mode: 0o644, modTime, size: BigInt(content.length), content });
    }
  }
  return [...entries.values()].sort((a, b) => comparePaths(a.path, b.path));
}

function sync(model: Model): readonly string[] | undefined {
  const wanted: number[] = [];
  const limits = { maxBytes: 1_000_000, maxEntries: 1_000 };
  const receiver = new TreeReceiver(root, limits, ({ type, ID }) => {
    if (type !== PacketType.PACKET_FIN) wanted.push(ID!);
  });
  const entries = entriesOf(model);
  for (const { content: _, ...stat } of entries)
    receiver.accept(create(PacketSchema, { stat: { ...stat, uid: 0, gid: 0 } }));
  receiver.accept(create(PacketSchema, {}));
  for (const id of wanted) {
    const data = Buffer.from(entries[id]!.content);
    receiver.accept(create(PacketSchema, { type: PacketType.PACKET_DATA, ID: id, data }));
    receiver.accept(create(PacketSchema, { type: PacketType.PACKET_DATA, ID: id }));
  }
  receiver.accept(create(PacketSchema, { type: PacketType.PACKET_FIN }));
  const { changed, directories } = receiver.received;
  receiver.close();
  expect(directories!.length > 0).toBe(changed);
  return directories;
}

/** A digest, and the lines of what it was made of. */
function digestOf(selector: ContentSelector, kept?: KeptTree) {
  const manifest = new ContentManifest();
  const files = new FileDigests(root, kept);
  const digest = new ContentDigest(root, files, { rootKnown: false, manifest }).of([selector]);
  files.keep();
  const file = join(folder, 'manifest');
  rmSync(file, { force: true });
  manifest.save(file);
  return { digest, lines: readFileSync(file, 'utf8').split('\n').sort() };
}

/** All of them begin before the first one's end. */
function walkTogether(selectors: readonly ContentSelector[], kept: KeptTree): void {
  const walks = selectors.map((selector) => {
    const files = new FileDigests(root, kept);
    new ContentDigest(root, files, { rootKnown: false }).of([selector]);
    return files;
  });
  for (const files of walks) files.keep();
}

it('are all that has to be looked at for the digest of a tree', () => {
  const selectors = fc.constantFrom<ContentSelector>(
    { path: '/' },
    { path: '/a' },
    { path: '/', includePatterns: ['a/b'] },
  );
  const steps = fc.array(fc.record({ model: models, selector: selectors, skipped: fc.boolean() }), {
    maxLength: 6,
  });
  fc.assert(
    fc.property(steps, (all) => {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(root, { recursive: true });
      let id = 'none';
      for (const [at, { model, selector, skipped }] of all.entries()) {
        const changes = { since: id, directories: sync(model)! };
        id = changes.directories.length > 0 ? `tree ${at}` : id;
        // A build that asks for no digest leaves what is known behind.
        if (skipped || (selector.path === '/a' && !entriesOf(model).some(({ path }) => path === 'a')))
          continue;
        const kept = { file: join(folder, 'memory'), root, id, changes };
        expect(digestOf(selector, kept)).toEqual(digestOf(selector));
        if (at % 2 === 0) walkTogether([selector, { path: '/' }], kept);
        expect(digestOf(selector, kept)).toEqual(digestOf(selector));
      }
    }),
    { numRuns: 50 },
  );
});
