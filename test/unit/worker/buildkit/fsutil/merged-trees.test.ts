import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MergedTrees } from '#worker/buildkit/fsutil/merged-trees.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-merged-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function tree(name: string, ...files: string[]) {
  const root = join(folder, name);
  mkdirSync(root);
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), name);
  }
  return { root, name };
}

async function listed(merged: MergedTrees): Promise<string[]> {
  const entries = await Array.fromAsync(merged.entries());
  return entries.map(({ path }) => path);
}

it('lists several directories as one, in the order of a walk', async () => {
  const first = tree('first', 'a/x', 'a-b', 'c');
  const second = tree('second', 'a/w', 'a/y/z', 'b');
  const merged = new MergedTrees([first, second], {});
  expect(await listed(merged)).toEqual(['a', 'a/w', 'a/x', 'a/y', 'a/y/z', 'a-b', 'b', 'c']);
  expect(merged.fileOf('a/x')).toBe(join(first.root, 'a/x'));
  expect(merged.fileOf('a/y/z')).toBe(join(second.root, 'a/y/z'));
});

it('refuses a file that two of them have', async () => {
  const trees = [tree('one', 'd/same'), tree('other', 'd/same')].map(({ root }, at) => ({
    root,
    name: ['linux/amd64', 'linux/arm64'][at]!,
  }));
  await expect(listed(new MergedTrees(trees, {}))).rejects.toThrow(
    'cannot overwrite d/same from linux/amd64 with linux/arm64 when split option is disabled',
  );
});

it('has nothing where they have nothing', async () => {
  expect(await listed(new MergedTrees([tree('empty'), tree('too')], {}))).toEqual([]);
});
