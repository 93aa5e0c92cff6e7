import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FilterPatterns } from '#worker/build/files/path-filter.ts';
import { followLinks } from '#worker/buildkit/fsutil/follow-links.ts';
import { TreeSelection } from '#worker/buildkit/fsutil/tree-selection.ts';
import { walkTree } from '#worker/buildkit/fsutil/tree-walk.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'slipway-walk-'));
  for (const directory of ['a/deep', 'b', 'node_modules/x'])
    mkdirSync(join(root, directory), { recursive: true });
  for (const file of [
    'a/deep/one.ts',
    'a/deep/two.md',
    'a/three.ts',
    'b/four.ts',
    'node_modules/x/five.ts',
    'top',
  ])
    writeFileSync(join(root, file), file);
});
afterEach(() => rmSync(root, { recursive: true }));

async function listed(patterns: FilterPatterns): Promise<string[]> {
  const selection = TreeSelection.of(patterns);
  const paths: string[] = [];
  for await (const { path } of walkTree(root, { ...(selection && { selection }) })) paths.push(path);
  return paths;
}

describe('a walk through a directory', () => {
  it('lists it whole, parents first', async () => {
    expect(await listed({})).toEqual([
      'a',
      'a/deep',
      'a/deep/one.ts',
      'a/deep/two.md',
      'a/three.ts',
      'b',
      'b/four.ts',
      'node_modules',
      'node_modules/x',
      'node_modules/x/five.ts',
      'top',
    ]);
  });

  it('lists what patterns select, and the directories on the way to it', async () => {
    expect(await listed({ includePatterns: ['a/deep/one.ts'] })).toEqual(['a', 'a/deep', 'a/deep/one.ts']);
    expect(await listed({ includePatterns: ['a'], excludePatterns: ['**/*.md'] })).toEqual([
      'a',
      'a/deep',
      'a/deep/one.ts',
      'a/three.ts',
    ]);
    expect(await listed({ includePatterns: ['*/*.ts'] })).toEqual(['a', 'a/three.ts', 'b', 'b/four.ts']);
    expect(await listed({ includePatterns: ['**/five.ts'] })).toEqual([
      'node_modules',
      'node_modules/x',
      'node_modules/x/five.ts',
    ]);
    expect(await listed({ excludePatterns: ['*', '!b/four.ts'] })).toEqual(['b', 'b/four.ts']);
    expect(await listed({ includePatterns: ['nothing'] })).toEqual([]);
  });

  it('does not enter what nothing is selected of', () => {
    const selection = TreeSelection.of({ includePatterns: ['Dockerfile', 'a/*/one.ts'] })!;
    const enters = (path: string) => selection.check(path, undefined).enter;
    expect(['a', 'a/deep', 'node_modules', 'b'].map(enters)).toEqual([true, true, false, false]);
  });

  it('says that everything is its owner’s, when asked to', async () => {
    for await (const { uid, gid } of walkTree(root, { owner: { uid: 7, gid: 8 } }))
      expect([uid, gid]).toEqual([7, 8]);
  });
});

describe('links that are followed', () => {
  it('bring along what they lead to, and nothing from outside', () => {
    symlinkSync('../top', join(root, 'a/link'));
    symlinkSync('/b', join(root, 'absolute'));
    symlinkSync('../../../../etc', join(root, 'out'));
    expect(followLinks(root, ['a/link'])).toEqual(['a/link', 'top']);
    expect(followLinks(root, ['absolute/four.ts'])).toEqual(['absolute', 'b/four.ts']);
    expect(followLinks(root, ['out/passwd'])).toEqual(['etc/passwd', 'out']);
    expect(followLinks(root, ['../../top'])).toEqual(['top']);
    expect(followLinks(root, ['a/l*'])).toEqual(['a/l*', 'top']);
  });

  it('come to an end, and to the whole', () => {
    symlinkSync('circle', join(root, 'circle'));
    symlinkSync('.', join(root, 'self'));
    expect(followLinks(root, ['circle'])).toEqual(['circle']);
    expect(followLinks(root, ['a', 'a/deep'])).toEqual(['a']);
    expect(followLinks(root, ['self'])).toBeUndefined();
  });
});
