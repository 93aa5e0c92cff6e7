import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removeExcluded } from '#worker/build/files/remove-excluded.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'slipway-excluded-'));
  for (const path of ['a.md', 'b.txt', 'd/a.md', 'd/e/keep', 'd/e/other', 'only/a.md', 'x/y/z']) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), path);
  }
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const left = () => (readdirSync(root, { recursive: true }) as string[]).sort();

it.each([
  [
    [],
    [
      'a.md',
      'b.txt',
      'd',
      'd/a.md',
      'd/e',
      'd/e/keep',
      'd/e/other',
      'only',
      'only/a.md',
      'x',
      'x/y',
      'x/y/z',
    ],
  ],
  [
    ['**/*.md', 'x'],
    ['b.txt', 'd', 'd/e', 'd/e/keep', 'd/e/other', 'only'],
  ],
  [
    ['*', '!d/e/keep'],
    ['d', 'd/e', 'd/e/keep'],
  ],
  [['**'], []],
])('takes away what %j matches', (patterns, expected) => {
  removeExcluded(root, patterns);
  expect(left()).toEqual(expected);
});

it('leaves directories their times, and what links lead to', () => {
  symlinkSync(join(root, 'x'), join(root, 'd/link'));
  utimesSync(join(root, 'd'), 1_000, 1_000);
  removeExcluded(root, ['d/a.md', 'd/link', 'd/link/y']);
  expect(statSync(join(root, 'd')).mtimeMs).toBe(1_000_000);
  expect(left()).toContain('x/y/z');
  expect(left()).not.toContain('d/link');
});

it('refuses a pattern that is none', () => {
  expect(() => removeExcluded(root, ['[a'])).toThrow('syntax error in pattern');
});
