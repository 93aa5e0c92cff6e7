import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readIgnoreFile } from '#worker/build/context/ignore-file.ts';
import { PatternMatcher } from '#worker/build/context/pattern-matcher.ts';

describe('patterns', () => {
  // As moby/patternmatcher has them, odd corners included.
  it.each([
    ['**', 'a', true],
    ['**', 'a/b', true],
    ['**/', 'a', true],
    ['a/**', 'a', false],
    ['a/**', 'a/b', true],
    ['**/a', 'a', true],
    ['**/a', 'x/y/a/z', true],
    ['**/a', 'xa', false],
    ['**a', 'xa', true],
    ['a**', 'a/b', true],
    ['a/**/b', 'a/b', true],
    ['a/**/b', 'a/x/y/b', true],
    ['a/**/b', 'ab', false],
    ['a**/b', 'ax/y/b', true],
    ['*/b', 'a/b', true],
    ['*/b', 'b', false],
    ['a?c', 'abc', true],
    ['a?c', 'a/c', false],
    ['a.b', 'axb', false],
    ['a+(b)$', 'a+(b)$', true],
    ['*+', 'a+', true],
    ['[a-c]x', 'bx', true],
    ['[^a]x', 'ax', false],
    ['[^a]x', 'bx', true],
    ['a[^b]c', 'a/c', true],
    ['a\\*', 'a*', true],
    ['a\\*', 'ab', false],
    ['a\\b', 'ab', false],
    ['é?', 'éü', true],
    ['?', '\u{1F40B}', true],
    ['a', 'a/b/c', true],
    ['a/b', 'a', false],
    ['/a', 'a', false],
    ['./a/../b', 'b', true],
    [' a ', 'a', true],
    ['a\nb', 'a\nb', true],
  ])('%j against %s: %s', (pattern, path, expected) => {
    const matcher = new PatternMatcher([pattern]);
    expect(matcher.matches(path)).toBe(expected);
    const parts = path.split('/');
    let info: ReturnType<PatternMatcher['matchesIn']> | undefined;
    for (const end of parts.keys()) info = matcher.matchesIn(parts.slice(0, end + 1).join('/'), info?.info);
    expect(info!.matched).toBe(expected);
  });

  it('know their exceptions', () => {
    const matcher = new PatternMatcher(['a', '!b/*.c', '']);
    expect(matcher).toMatchObject({
      hasExceptions: true,
      patterns: ['a'],
      isEmpty: false,
    });
    expect(new PatternMatcher([' ']).isEmpty).toBe(true);
  });

  it('let an exception below a directory out of it', () => {
    const matcher = new PatternMatcher(['dir', '!dir/keep', 'dir/keep/not']);
    expect(
      ['dir', 'dir/a', 'dir/keep', 'dir/keep/a', 'dir/keep/not'].map((path) => matcher.matches(path)),
    ).toEqual([...[true, true, false, false, true]]);
  });

  it.each(['[', 'a[', '[]', '[a-]', 'a\\', '[b-a]', 'a*\\z\\y'])('refuse %s', (pattern) => {
    expect(() => new PatternMatcher([pattern])).toThrow('syntax error in pattern');
  });

  // As in moby: on a walk an exception that changed nothing for a directory is not tried on it for what is in it.
  it.each([
    [
      ['[ab]/a', '!b'],
      ['b', 'a'],
    ],
    [
      ['**a', '!ab'],
      ['ab', 'a'],
    ],
  ])('%j make an exception of a directory at once, and on a walk do not', (patterns, parts) => {
    const matcher = new PatternMatcher(patterns);
    const directory = matcher.matchesIn(parts[0]!, undefined);
    expect(matcher.matchesIn(parts.join('/'), directory.info).matched).toBe(true);
    expect(matcher.matches(parts.join('/'))).toBe(false);
  });

  it('without exceptions give the same answer on a walk and at once', () => {
    const piece = fc.constantFrom('a', 'b', '*', '**', '/', '?', '[ab]', '.');
    const pattern = fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join(''));
    const path = fc.array(fc.constantFrom('a', 'b', 'ab', 'a.b'), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(pattern, { maxLength: 4 }), path, (patterns, parts) => {
        const matcher = new PatternMatcher(patterns);
        let result: ReturnType<PatternMatcher['matchesIn']> | undefined;
        for (const end of parts.keys())
          result = matcher.matchesIn(parts.slice(0, end + 1).join('/'), result?.info);
        expect(result!.matched).toBe(matcher.matches(parts.join('/')));
      }),
      { numRuns: 500 },
    );
  });
});

it('reads an ignore file', () => {
  const text = '\uFEFF# a comment\r\n /a/b/ \n\n!  ./c/../d\n #not a comment\n!\n/\n..//x\r\n';
  expect(readIgnoreFile(text)).toEqual(['a/b', '!d', '#not a comment', '!', '/', '../x']);
});
