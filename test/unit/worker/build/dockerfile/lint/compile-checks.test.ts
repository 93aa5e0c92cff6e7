// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what a Dockerfile has
import { describe, expect, it } from 'vitest';
import { PatternMatcher } from '#worker/build/context/pattern-matcher.ts';
import { expandTracked } from '#worker/build/dockerfile/expansion.ts';
import type { CopyInstruction, Instruction } from '#worker/build/dockerfile/instructions.ts';
import {
  checkBasePlatform,
  checkDefaultBases,
  checkFromPlatform,
  checkFromVariables,
} from '#worker/build/dockerfile/lint/from-checks.ts';
import { Linter } from '#worker/build/dockerfile/lint/linter.ts';
import {
  checkIgnoredSource,
  checkPairs,
  checkPort,
  checkRepeated,
  checkSecretName,
  checkShellForm,
  checkVariables,
  checkWorkdir,
} from '#worker/build/dockerfile/lint/stage-checks.ts';
import { parseDockerfile } from '#worker/build/dockerfile/parser.ts';
import { linesOf } from '#worker/build/dockerfile/ranges.ts';

function findings(check: (linter: Linter) => void): string[] {
  const found: string[] = [];
  const config = { skipped: [], experimental: [], failing: false };
  check(
    new Linter(config, ({ rule, message, range }) => found.push(`${rule} ${range.start.line} ${message}`)),
  );
  return found;
}
const instruction = <N extends Instruction['name']>(text: string) =>
  parseDockerfile(`FROM x\n${text}`).stages[0]!.instructions[0] as Extract<Instruction, { name: N }>;
const fromOf = (text: string) => parseDockerfile(text).stages[0]!.from;

describe('FROM', () => {
  const values: Record<string, string> = { TARGETPLATFORM: 'linux/arm64', A: 'a', EMPTY: '' };
  const expansion = (word: string) => expandTracked(word, (name) => values[name], { escapeToken: '\\' });

  it.each([
    [
      ['ARG A', 'FROM ${A}'],
      ['InvalidDefaultArgInFrom 2 Default value for ARG ${A} results in empty or invalid base image name'],
    ],
    [['ARG A=b', 'ARG B=$A:1', 'FROM $B'], []],
    [
      ['ARG A', 'FROM x:$A'],
      ['InvalidDefaultArgInFrom 2 Default value for ARG x:$A results in empty or invalid base image name'],
    ],
    [['ARG A', 'FROM ${A:-x}', 'FROM x$A', 'FROM x-$TARGETARCH'], []],
    [['FROM ${A?unset}', 'FROM $A'], []],
  ])('%j without build args', (lines, expected) => {
    const builderArgs = (name: string) => ({ TARGETARCH: 'arm64' })[name];
    const check = (linter: Linter) =>
      checkDefaultBases(parseDockerfile(lines.join('\n')), builderArgs, linter);
    expect(findings(check)).toEqual(expected);
  });

  it.each([
    ['x:$AA', ["UndefinedArgInFrom 1 FROM argument 'AA' is not declared (did you mean A?)"]],
    ['x:$NOWHERE', ["UndefinedArgInFrom 1 FROM argument 'NOWHERE' is not declared"]],
    ['x:$A$DECLARED', []],
  ])('%s uses what is declared', (image, expected) => {
    const from = fromOf(`FROM ${image}`);
    const known = [...Object.keys(values), 'DECLARED'];
    expect(findings((linter) => checkFromVariables(from, expansion(from.image), known, linter))).toEqual(
      expected,
    );
  });

  it.each([
    [
      '$TARGETPLATFORM',
      'x',
      [
        'RedundantTargetPlatform 1 Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior',
      ],
    ],
    [
      '${TARGETPLATFORM}',
      'x',
      [
        'RedundantTargetPlatform 1 Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior',
      ],
    ],
    ['$TARGETPLATFORM/v8', 'x', []],
    [
      'linux/amd64',
      'x',
      ['FromPlatformFlagConstDisallowed 1 FROM --platform flag should not use constant value "linux/amd64"'],
    ],
    ['linux/amd64', 'build-amd64', []],
    ['linux/amd64', 'linux', []],
    ['not a platform', 'x', []],
    ['linux/$UNSET', 'x', []],
  ])('--platform=%s for a stage %s', (platform, stage, expected) => {
    const from = fromOf(`FROM --platform="${platform}" x AS ${stage}`);
    const check = (linter: Linter) =>
      checkFromPlatform(from, expansion(platform), values.TARGETPLATFORM, linter);
    expect(findings(check)).toEqual(expected);
  });

  it('is of the platform that was asked for', () => {
    const [amd64, arm64] = [
      { os: 'linux', architecture: 'amd64' },
      { os: 'linux', architecture: 'arm64' },
    ];
    const check = (found: typeof amd64) => (linter: Linter) =>
      checkBasePlatform(fromOf('FROM x'), 'x', amd64, found, linter);
    expect(findings(check(amd64))).toEqual([]);
    expect(findings(check(arm64))).toEqual([
      'InvalidBaseImagePlatform 1 Base image x was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
    ]);
  });
});

describe('an instruction', () => {
  it('uses variables that are set', () => {
    const sets = { declared: new Set(['ARG1']), known: ['PATH', 'HOME'] };
    const names = ['PAHT', 'ARG1', 'BUILDKIT_SBOM_SCAN_STAGE', 'other'];
    const check = (linter: Linter) => checkVariables(instruction('ENV a=$PAHT'), names, sets, linter);
    expect(findings(check)).toEqual([
      "UndefinedVar 2 Usage of undefined variable '$PAHT' (did you mean $PATH?)",
      "UndefinedVar 2 Usage of undefined variable '$other'",
    ]);
  });

  it.each([
    ['TOKEN', true],
    ['github_token', true],
    ['AUTH_URL', true],
    ['my_apiKey', true],
    ['PASSWD', true],
    ['TOKENS', false],
    ['AUTHOR', false],
    ['PUBLIC_KEY', false],
    ['KEY_FILE', false],
    ['TOKEN_VERSION', false],
  ])('named %s may have a secret: %s', (name, warned) => {
    const found = findings((linter) => checkSecretName(instruction(`ENV ${name}=x`), name, linter));
    const message = `Do not use ARG or ENV instructions for sensitive data (ENV "${name}")`;
    expect(found).toEqual(warned ? [`SecretsUsedInArgOrEnv 2 ${message}`] : []);
  });

  it('is written in the forms of today', () => {
    const shell = instruction('Cmd x');
    expect(findings((linter) => checkShellForm(shell, linter))).toEqual([
      'JSONArgsRecommended 2 JSON arguments recommended for Cmd to prevent unintended behavior related to OS signals',
    ]);
    expect(findings((linter) => checkPairs(instruction<'ENV'>('env a b'), linter))).toEqual([
      'LegacyKeyValueFormat 2 "env key=value" should be used instead of legacy "env key value" format',
    ]);
    expect(findings((linter) => checkPairs(instruction<'LABEL'>('LABEL a=b'), linter))).toEqual([]);
  });

  it('stands once in its stage', () => {
    const second = instruction('CMD x');
    expect(findings((linter) => checkRepeated(second, undefined, linter))).toEqual([]);
    expect(findings((linter) => checkRepeated(second, linesOf(1), linter))).toEqual([
      'MultipleInstructionsDisallowed 1 Multiple CMD instructions should not be used in the same stage because only the last one will be used',
    ]);
  });

  it('does not depend on the directory of the base image', () => {
    const check = (path: string) =>
      findings((linter) => checkWorkdir(instruction<'WORKDIR'>('WORKDIR x'), path, linter));
    expect(check('/a')).toEqual([]);
    expect(check('a"b')).toEqual([
      'WorkdirRelativePath 2 Relative workdir "a\\"b" can have unexpected results if the base image changes',
    ]);
  });

  it('publishes nothing', () => {
    const check = (spec: { protocol: string; publishes: boolean }) =>
      findings((linter) => checkPort(instruction<'EXPOSE'>('EXPOSE 80'), '1:80/TCP', spec, linter));
    expect(check({ protocol: 'tcp', publishes: false })).toEqual([]);
    expect(check({ protocol: 'TCP', publishes: true })).toEqual([
      "ExposeProtoCasing 2 Defined protocol '1:80/TCP' in EXPOSE instruction should be lowercase",
      "ExposeInvalidFormat 2 EXPOSE instruction should not define an IP address or host-port mapping, found '1:80/TCP'",
    ]);
  });

  it.each([
    ['COPY', ['*.md'], 'a.md', 'Copy file "a.md"'],
    ['ADD', ['docs'], './docs//x', 'Add file "docs/x"'],
    ['COPY', ['*.md', '!a.md'], 'b.md', undefined],
    ['COPY', ['docs'], '.', undefined],
    ['COPY', ['*'], '.', 'Copy file "."'],
    ['COPY', ['**'], '/', 'Copy file "/"'],
    ['COPY', ['docs'], 'src', undefined],
  ])('%s with %j of %s', (name, patterns, source, what) => {
    const copy = instruction(`${name} x /`) as CopyInstruction;
    const found = findings((linter) =>
      checkIgnoredSource(copy, source, new PatternMatcher(patterns), linter),
    );
    expect(found).toEqual(
      what === undefined ? [] : [`CopyIgnoredFile 2 Attempting to ${what} that is excluded by .dockerignore`],
    );
  });

  it('is skipped by a comment of its own', () => {
    const env = instruction('# check=skip=SecretsUsedInArgOrEnv\nENV TOKEN=x');
    expect(findings((linter) => checkSecretName(env, 'TOKEN', linter))).toEqual([]);
  });
});
