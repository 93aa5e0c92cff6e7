import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readIgnoreFile } from '#worker/build/context/ignore-file.ts';
import { PatternMatcher } from '#worker/build/context/pattern-matcher.ts';

const rulesOf = (text: string) => new PatternMatcher(readIgnoreFile(text));
const kept = (rules: string[], paths: string[]) => {
  const ignore = rulesOf(rules.join('\n'));
  return paths.filter((path) => !ignore.matches(path));
};

describe('.dockerignore', () => {
  it.each([
    [['*.md'], ['a.md', 'd/a.md', 'a.txt'], ['d/a.md', 'a.txt']],
    [['**/*.md'], ['a.md', 'd/a.md', 'd/e/b.md', 'a.txt'], ['a.txt']],
    [['node_modules'], ['node_modules', 'node_modules/a/b', 'x/node_modules'], ['x/node_modules']],
    [['**/node_modules'], ['x/y/node_modules/z', 'x/y'], ['x/y']],
    [['/build', './dist/'], ['build/x', 'dist/y', 'src/build'], ['src/build']],
    [
      ['*', '!src', '!package.json'],
      ['a', 'src/a', 'src', 'package.json'],
      ['src/a', 'src', 'package.json'],
    ],
    [
      ['*.md', '!README*.md', 'README-secret.md'],
      ['a.md', 'README-x.md', 'README-secret.md'],
      ['README-x.md'],
    ],
    [['a/**'], ['a', 'a/b', 'a/b/c', 'b'], ['a', 'b']],
    [['a/**/z'], ['a/z', 'a/b/z', 'a/b/c/z', 'a/b'], ['a/b']],
    [['**'], ['a', 'b/c'], []],
    [
      ['# comment', '', '  b  '],
      ['# comment', 'b', 'c'],
      ['# comment', 'c'],
    ],
    [
      ['te?t', 'x[0-9]', 'y[^a-c]'],
      ['test', 'tet', 'x5', 'xa', 'yb', 'yz'],
      ['tet', 'xa', 'yb'],
    ],
    [['.'], ['a'], ['a']],
    [['../a'], ['a', 'b'], ['a', 'b']],
    [
      ['dir', '!dir/keep'],
      ['dir/a', 'dir/keep', 'dir/keep/x'],
      ['dir/keep', 'dir/keep/x'],
    ],
    [['a\\*b'], ['a*b', 'axb'], ['axb']],
  ])('%j', (rules, paths, expected) => {
    expect(kept(rules, paths)).toEqual(expected);
  });

  it('refuses broken patterns', () => {
    for (const rules of ['[', 'a[b', 'a[]', '!', 'x[a-]', 'y\\']) {
      expect(() => rulesOf(rules), rules).toThrow(/syntax error in pattern|illegal exclusion pattern/);
    }
  });

  it('answers in reasonable time whatever the pattern', () => {
    const ignore = rulesOf(`${'**/*a*'.repeat(50)}/b\n${'*a'.repeat(500)}b`);
    expect(ignore.matches('a'.repeat(4000))).toBe(false);
    expect(ignore.matches(Array(500).fill('a').join('/'))).toBe(false);
  });

  it('never ignores what only an exception matches', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]+(\/[a-z]+)*$/), (path) => {
        expect(rulesOf(`**\n!${path}`).matches(path)).toBe(false);
      }),
    );
  });
});
