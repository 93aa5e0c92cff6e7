import { describe, expect, it } from 'vitest';
import { DockerfileError } from '#worker/build/dockerfile/dockerfile-error.ts';
import { type LintConfig, lintConfigOf } from '#worker/build/dockerfile/lint/lint-config.ts';
import { Linter, type LintWarning } from '#worker/build/dockerfile/lint/linter.ts';
import { parseDockerfile } from '#worker/build/dockerfile/parser.ts';

const ALL: LintConfig = { skipped: [], experimental: 'all', failing: false };

function lint(lines: readonly string[], config = ALL): string[] {
  const found: LintWarning[] = [];
  try {
    parseDockerfile(lines.join('\n'), new Linter(config, (warning) => found.push(warning)));
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    found.push({ rule: 'error', message: error.message, range: error.ranges[0]!, description: '', url: '' });
  }
  return found.map(({ rule, message, range }) => `${rule} ${range.start.line}-${range.end.line} ${message}`);
}

describe('a Dockerfile', () => {
  it.each([
    [['FROM a AS b'], []],
    [['FROM a AS Base'], ["StageNameCasing 1-1 Stage name 'Base' should be lowercase"]],
    [['FROM a as b'], ["FromAsCasing 1-1 'as' and 'FROM' keywords' casing do not match"]],
    [['from a AS b'], ["FromAsCasing 1-1 'AS' and 'from' keywords' casing do not match"]],
    [['FROM a', 'RUN x \\', '', ' y'], ['NoEmptyContinuation 4-4 Empty continuation line']],
    [
      ['FROM a', 'MAINTAINER x'],
      ['MaintainerDeprecated 2-2 Maintainer instruction is deprecated in favor of using label'],
    ],
    [
      ['FROM a AS x', 'FROM b AS X', 'FROM c AS scratch', 'FROM d AS context'],
      [
        "StageNameCasing 2-2 Stage name 'X' should be lowercase",
        'DuplicateStageName 2-2 Duplicate stage name "x", stage names should be unique',
        'ReservedStageName 3-3 Stage name should not use the same name as reserved stage "scratch"',
        'ReservedStageName 4-4 Stage name should not use the same name as reserved stage "context"',
      ],
    ],
    [
      ['FROM a', 'run x', 'CMD \\', 'y', 'Copy a b'],
      [
        "ConsistentInstructionCasing 2-2 Command 'run' should match the case of the command majority (uppercase)",
        "ConsistentInstructionCasing 5-5 Command 'Copy' should match the case of the command majority (uppercase)",
      ],
    ],
    [
      ['from a', 'run x', 'CMD y'],
      [
        "ConsistentInstructionCasing 3-3 Command 'CMD' should match the case of the command majority (lowercase)",
      ],
    ],
    // A keyword of mixed case gives no say in AS, nor in what the majority is.
    [
      ['From a as b', 'run x', 'RUN y'],
      [
        "ConsistentInstructionCasing 1-1 Command 'From' should match the case of the command majority (uppercase)",
        "ConsistentInstructionCasing 2-2 Command 'run' should match the case of the command majority (uppercase)",
      ],
    ],
    [['arg x', 'FROM a'], []],
    [
      [
        '# other',
        'ARG x',
        '# base: the base',
        'FROM a AS base',
        '# y and so on',
        'ARG x y',
        '# what',
        'ARG a b',
      ],
      [
        'InvalidDefinitionDescription 2-2 Comment for ARG should follow the format: `# x <description>`',
        'InvalidDefinitionDescription 4-4 Comment for FROM should follow the format: `# base <description>`',
        'InvalidDefinitionDescription 8-8 Comment for ARG should follow the format: `# <arg_key> <description>`',
      ],
    ],
    [['# x is good', 'ARG x', '# far away', '#', 'ARG y', '# not named', 'FROM a'], []],
    [
      ['#', '# check=skip=StageNameCasing,FromAsCasing', 'FROM a as B', 'FROM b as C'],
      [
        'InvalidDefinitionDescription 3-3 Comment for FROM should follow the format: `# b <description>`',
        "StageNameCasing 4-4 Stage name 'C' should be lowercase",
        "FromAsCasing 4-4 'as' and 'FROM' keywords' casing do not match",
      ],
    ],
    [
      ['FROM a AS B', 'FOO'],
      [
        "StageNameCasing 1-1 Stage name 'B' should be lowercase",
        'error 2-2 dockerfile parse error on line 2: unknown instruction: FOO (did you mean FROM?)',
      ],
    ],
  ])('%j is warned of', (lines, expected) => {
    expect(lint(lines)).toEqual(expected);
  });

  it('has an experimental rule only on demand', () => {
    expect(lint(['# other', 'ARG x', 'FROM a'], lintConfigOf(''))).toEqual([]);
    const asked = lintConfigOf('# check=experimental=InvalidDefinitionDescription\n');
    expect(lint(['# other', 'ARG x', 'FROM a'], asked)).toHaveLength(1);
  });
});
