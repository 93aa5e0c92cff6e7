import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ContentDigest, type ContentSelector } from '#worker/build/files/content-digest.ts';
import { ContentManifest, manifestPath } from '#worker/build/files/content-manifest.ts';
import { fileChanges } from '#worker/build/files/file-changes.ts';
import { FileDigests } from '#worker/build/files/file-digests.ts';

let folder: string;
let root: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-changes-'));
  root = join(folder, 'files');
  mkdirSync(join(root, 'src/deep'), { recursive: true });
  writeFileSync(join(root, 'package.json'), '{}');
  writeFileSync(join(root, 'src/deep/a "b".txt'), 'text');
  writeFileSync(join(root, 'run.sh'), 'run', { mode: 0o644 });
  symlinkSync('run.sh', join(root, 'link'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Takes the tree down, as a digest of it does, and says where. */
function taken(...selectors: ContentSelector[]): string {
  const manifest = new ContentManifest();
  const files = new FileDigests(root, undefined);
  const digest = new ContentDigest(root, files, { rootKnown: true, manifest }).of(selectors);
  const path = manifestPath(folder, digest);
  manifest.save(path);
  return path;
}

const differ = (change: () => void, ...selectors: ContentSelector[]) => {
  const before = taken(...selectors);
  change();
  return fileChanges(before, taken(...selectors));
};

it('tells what has changed', () => {
  expect(differ(() => writeFileSync(join(root, 'package.json'), '{"a":1}'))).toEqual({
    told: ['content of package.json changed'],
    more: 0,
  });
  expect(differ(() => writeFileSync(join(root, 'src/deep/a "b".txt'), 'tixt'))).toEqual({
    told: ['content of src/deep/a "b".txt changed'],
    more: 0,
  });
  expect(differ(() => chmodSync(join(root, 'run.sh'), 0o755))).toEqual({
    told: ['mode or owner of run.sh changed'],
    more: 0,
  });
});

it('tells what came and went, not the directories around it', () => {
  const change = () => {
    mkdirSync(join(root, 'new/dir'), { recursive: true });
    writeFileSync(join(root, 'new/dir/one'), '1');
    mkdirSync(join(root, 'empty'));
    unlinkSync(join(root, 'link'));
  };
  const { told, more } = differ(change)!;
  expect(new Set(told)).toEqual(new Set(['empty was added', 'new/dir/one was added', 'link was removed']));
  expect(more).toBe(0);
});

it('counts what is too much to tell', () => {
  const change = () => {
    for (let file = 0; file < 50; file++) writeFileSync(join(root, `file-${file}`), '');
    writeFileSync(join(root, 'package.json'), 'changed');
  };
  const { told, more } = differ(change)!;
  expect(told[0]).toBe('content of package.json changed');
  expect([told.length, more]).toEqual([3, 48]);
});

it('is about what was selected alone', () => {
  const selected: ContentSelector = { path: '/', includePatterns: ['src'] };
  expect(differ(() => writeFileSync(join(root, 'package.json'), 'x'), selected)).toEqual({
    told: [],
    more: 0,
  });
  const change = () => writeFileSync(join(root, 'src/c'), 'x');
  expect(differ(change, selected)).toEqual({ told: ['src/c was added'], more: 0 });
});

it('does not know what is not there any more, or was too much', () => {
  const path = taken();
  expect(fileChanges(join(folder, 'nothing'), path)).toBeUndefined();
  const manifest = new ContentManifest();
  const stats = { mode: 0, uid: 0, gid: 0, size: 0, isDirectory: () => false };
  for (let file = 0; file <= 100_000; file++) manifest.add(`${file}`, stats as never, '00');
  manifest.save(join(folder, 'large'));
  expect(fileChanges(path, join(folder, 'large'))).toBeUndefined();
});
