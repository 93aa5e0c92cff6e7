import fc from 'fast-check';
import { expect, it } from 'vitest';
import { hasWildcards, literalPattern, pathMatcher } from '#worker/build/context/path-match.ts';

// The cases of Go's path/filepath tests that hold on Unix.
it.each([
  ['abc', 'abc', true],
  ['*', 'abc', true],
  ['*c', 'abc', true],
  ['a*', 'a', true],
  ['a*', 'ab/c', false],
  ['a*/b', 'abc/b', true],
  ['a*/b', 'a/c/b', false],
  ['a*b*c*d*e*/f', 'axbxcxdxe/f', true],
  ['a*b*c*d*e*/f', 'axbxcxdxe/xxx/f', false],
  ['a*b?c*x', 'abxbbxdbxebxczzx', true],
  ['a*b?c*x', 'abxbbxdbxebxczzy', false],
  ['ab[c]', 'abc', true],
  ['ab[b-d]', 'abc', true],
  ['ab[e-g]', 'abc', false],
  ['ab[^c]', 'abc', false],
  ['ab[^b-d]', 'abc', false],
  ['ab[^e-g]', 'abc', true],
  ['a\\*b', 'a*b', true],
  ['a\\*b', 'ab', false],
  ['a?b', 'a☺b', true],
  ['a[^a]b', 'a☺b', true],
  ['a???b', 'a☺b', false],
  ['[a-ζ]*', 'α', true],
  ['a?b', 'a/b', false],
  ['a*b', 'a/b', false],
  ['[\\]a]', ']', true],
  ['[\\-x]', 'x', true],
  ['[x\\-]', '-', true],
  ['*x', 'xxx', true],
])('%s against %s is %s', (pattern, path, expected) => {
  expect(pathMatcher(pattern)(path)).toBe(expected);
});

it.each(['[]a]', '[-]', '[x-]', '[-x]', '[a-b-c]', '[', '[^', '[^bc', 'a[', '\\'])(
  'refuses %s',
  (pattern) => {
    expect(() => pathMatcher(pattern)).toThrow('syntax error in pattern');
  },
);

it('tells patterns from names', () => {
  expect(['a*', 'a?', 'a[b]', 'a', 'a\\*'].map(hasWildcards)).toEqual([true, true, true, false, false]);
});

it('makes a pattern of any name', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', '*', '?', '[', ']', '-', '^') }), (name) => {
      expect(pathMatcher(literalPattern(name))(name)).toBe(true);
    }),
  );
});
