import { describe, expect, it } from 'vitest';
import { lintConfigOf, parseLintOptions } from '#worker/build/dockerfile/lint/lint-config.ts';
import { Linter, type LintWarning, shortWarning } from '#worker/build/dockerfile/lint/linter.ts';
import { RULES } from '#worker/build/dockerfile/lint/rules.ts';
import { linesOf } from '#worker/build/dockerfile/ranges.ts';

describe('lint options', () => {
  it.each([
    ['', { skipped: [], experimental: [], failing: false }],
    ['skip=all', { skipped: 'all', experimental: [], failing: false }],
    [' skip = A , B ; error = true ', { skipped: ['A', 'B'], experimental: [], failing: true }],
    ['experimental=all;error=0', { skipped: [], experimental: 'all', failing: false }],
    ['error=T;experimental=A;skip=B', { skipped: ['B'], experimental: ['A'], failing: true }],
  ])('%j are read', (text, config) => {
    expect(parseLintOptions(text)).toEqual(config);
  });

  it.each([
    ['skip', 'invalid check option "skip"'],
    ['skip=A;x=1', 'invalid check option "x"'],
    [
      'error=A;skip=B',
      'failed to parse check option "error=A": strconv.ParseBool: parsing "A": invalid syntax',
    ],
    ['skip=A;error=1;experimental=B;skip=C', undefined],
  ])('%j are refused', (text, message) => {
    if (message === undefined) {
      // BuildKit takes three at most: a fourth belongs to the third's value.
      expect(parseLintOptions(text).experimental).toEqual(['B;skip=C']);
      return;
    }
    expect(() => parseLintOptions(text)).toThrow(message);
  });

  it('of the build go before those of the file', () => {
    const file = '# check=skip=A;error=true trailing words\nFROM x';
    expect(lintConfigOf(file)).toEqual({ skipped: ['A'], experimental: [], failing: true });
    expect(lintConfigOf(file, 'skip=B')).toEqual({ skipped: ['B'], experimental: [], failing: false });
    expect(lintConfigOf('FROM x').skipped).toEqual([]);
    expect(() => lintConfigOf('# check=x')).toThrow(
      'failed to parse check options: invalid check option "x"',
    );
    expect(() => lintConfigOf('', 'x')).toThrow(
      'failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK: invalid check option "x"',
    );
  });
});

describe('a linter', () => {
  const start = (text: string) => {
    const found: LintWarning[] = [];
    return { found, linter: new Linter(parseLintOptions(text), (warning) => found.push(warning)) };
  };

  it('tells of what it is to tell', () => {
    const { linter, found } = start('skip=FromAsCasing');
    linter.run(RULES.FromAsCasing, linesOf(1), 'FROM', 'as');
    linter.run(RULES.UndefinedVar, linesOf(3, 4), 'fo', 'foo');
    linter.run(RULES.UndefinedVar, linesOf(5), 'x');
    linter.run(RULES.InvalidDefinitionDescription, linesOf(6), 'ARG', 'x');
    expect(found).toEqual([
      {
        rule: 'UndefinedVar',
        description: 'Variables should be defined before their use',
        url: 'https://docs.docker.com/go/dockerfile/rule/undefined-var/',
        message: "Usage of undefined variable '$fo' (did you mean $foo?)",
        range: linesOf(3, 4),
      },
      expect.objectContaining({ message: "Usage of undefined variable '$x'" }),
    ]);
    expect(shortWarning(found[0]!)).toBe(
      "UndefinedVar: Usage of undefined variable '$fo' (did you mean $foo?) (line 3)",
    );
    expect(linter.violation()).toBeUndefined();
  });

  it('fails a build when it is asked to', () => {
    const { linter } = start('error=true');
    expect(linter.violation()).toBeUndefined();
    linter.forComments([]).run(RULES.MaintainerDeprecated, linesOf(1));
    linter.forComments(['check=skip=A']).run(RULES.StageNameCasing, linesOf(1), 'X');
    linter.run(RULES.MaintainerDeprecated, linesOf(2));
    expect(linter.violation()?.message).toBe(
      'lint violation found for rules: MaintainerDeprecated, StageNameCasing',
    );
  });

  it('is told by the comments above an instruction', () => {
    const { linter, found } = start('skip=FromAsCasing');
    const run = (...comments: string[]) =>
      linter.forComments(comments).run(RULES.StageNameCasing, linesOf(1), 'X');
    run('check=skip=StageNameCasing');
    run('a comment', 'check = skip=all');
    run('check=skip=FromAsCasing,StageNameCasing');
    expect(found).toEqual([]);
    run('check=nonsense', 'check=skip=all');
    run('check skip=all');
    run('check=skip=Other');
    linter
      .forComments(['check=experimental=all'])
      .run(RULES.InvalidDefinitionDescription, linesOf(1), 'a', 'b');
    expect(found).toHaveLength(4);
  });
});

it('has every rule under its own name, with a page', () => {
  for (const [name, rule] of Object.entries(RULES)) {
    expect(rule.name).toBe(name);
    // Such as no-empty-continuation for NoEmptyContinuation.
    const page = name
      .replace('JSONArgs', 'JsonArgs')
      .replace(/(?<!^)[A-Z]/g, (letter) => `-${letter}`)
      .toLowerCase();
    const url =
      name === 'InvalidBaseImagePlatform' ? '' : `https://docs.docker.com/go/dockerfile/rule/${page}/`;
    expect(rule.url).toBe(url);
  }
  expect(Object.keys(RULES)).toHaveLength(22);
});
