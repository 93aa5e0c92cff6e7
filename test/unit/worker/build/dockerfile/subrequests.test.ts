import { describe, expect, it } from 'vitest';
import { DockerfileError } from '#worker/build/dockerfile/dockerfile-error.ts';
import { Linter, type LintWarning } from '#worker/build/dockerfile/lint/linter.ts';
import { parseDockerfile } from '#worker/build/dockerfile/parser.ts';
import { linesOf } from '#worker/build/dockerfile/ranges.ts';
import { describeResult } from '#worker/build/dockerfile/subrequests/describe.ts';
import { lintResult } from '#worker/build/dockerfile/subrequests/lint-result.ts';
import { outlineResult } from '#worker/build/dockerfile/subrequests/outline.ts';
import type { SubrequestResult } from '#worker/build/dockerfile/subrequests/subrequest.ts';
import { targetsResult } from '#worker/build/dockerfile/subrequests/targets.ts';

const read = (result: SubrequestResult) => {
  const text = (name: string) => Buffer.from(result.get(name) ?? []).toString();
  return {
    json: JSON.parse(text('result.json')),
    raw: text('result.json'),
    text: text('result.txt'),
    of: text,
  };
};
const line = (...lines: number[]) => ({
  ranges: lines.map((number) => ({ start: { line: number }, end: { line: number } })),
});

const TEXT = '# base of <all>\nFROM --platform=$BUILDPLATFORM a AS base\nFROM base\\\n AS app\nFROM app';

describe('targets', () => {
  const { json, text, raw, of } = read(targetsResult(parseDockerfile(TEXT), Buffer.from(TEXT)));

  it('are listed for programs', () => {
    expect(json).toEqual({
      targets: [
        { name: 'base', description: 'of <all>', base: 'a', platform: '$BUILDPLATFORM', location: line(2) },
        { name: 'app', base: 'base', location: line(3, 4) },
        { default: true, base: 'app', location: line(5) },
      ],
      sources: [Buffer.from(TEXT).toString('base64')],
    });
    // As Go writes it.
    expect(raw).toContain(String.raw`"description": "of \u003call\u003e"`);
    expect(of('version')).toBe('1.0.0');
  });

  it('are listed for people', () => {
    expect(text).toBe('TARGET    DESCRIPTION\nbase      of <all>\napp       \n(default) \n');
  });
});

describe('an outline', () => {
  const { json, text } = read(
    outlineResult(
      {
        name: 'app',
        description: 'the program',
        args: [
          { name: 'B', value: '', range: linesOf(4) },
          { name: 'VERSION', value: '1', description: 'what to build', range: linesOf(2) },
        ],
        secrets: [{ name: 'token', required: true, range: linesOf(6, 7) }],
        ssh: [{ name: 'default', required: false, range: linesOf(6) }],
      },
      Buffer.from('x'),
    ),
  );

  it('tells programs what a build takes', () => {
    expect(json).toEqual({
      name: 'app',
      description: 'the program',
      args: [
        { name: 'VERSION', description: 'what to build', value: '1', location: line(2) },
        { name: 'B', location: line(4) },
      ],
      secrets: [{ name: 'token', required: true, location: line(6, 7) }],
      ssh: [{ name: 'default', location: line(6) }],
      sources: ['eA=='],
    });
  });

  it('tells people', () => {
    expect(text).toBe(
      [
        'TARGET:      app',
        'DESCRIPTION: the program',
        '',
        'BUILD ARG   VALUE   DESCRIPTION',
        'VERSION     1       what to build',
        'B                   ',
        '',
        'SECRET   REQUIRED',
        'token    true',
        '',
        'SSH       REQUIRED',
        'default   ',
        '',
        '',
      ].join('\n'),
    );
  });

  it('of a stage without a name has no heading', () => {
    const empty = read(outlineResult({ args: [], secrets: [], ssh: [] }, Buffer.from('')));
    expect(empty).toMatchObject({ text: '', json: { sources: [''] } });
  });
});

describe('lint', () => {
  const source = (text: string) => ({
    filename: 'Dockerfile',
    language: 'Dockerfile',
    data: Buffer.from(text),
  });
  const warningsOf = (text: string) => {
    const found: LintWarning[] = [];
    const config = { skipped: [], experimental: [], failing: false };
    parseDockerfile(text, new Linter(config, (warning) => found.push(warning)));
    return found;
  };

  it('tells of warnings, in the order of the file for people', () => {
    const text = 'FROM a\nMAINTAINER x\nrun y \\\n\n z\n';
    const { json, text: shown, of } = read(lintResult(source(text), warningsOf(text)));
    expect(json.warnings.map((warning: { ruleName: string }) => warning.ruleName)).toEqual([
      'NoEmptyContinuation',
      'MaintainerDeprecated',
      'ConsistentInstructionCasing',
    ]);
    expect(json.warnings[1]).toEqual({
      ruleName: 'MaintainerDeprecated',
      description: 'The MAINTAINER instruction is deprecated, use a label instead to define an image author',
      url: 'https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/',
      detail: 'Maintainer instruction is deprecated in favor of using label',
      location: line(2),
    });
    expect(json.sources).toEqual([
      { filename: 'Dockerfile', data: Buffer.from(text).toString('base64'), language: 'Dockerfile' },
    ]);
    expect(json.buildError).toBeUndefined();
    expect(of('result.statuscode')).toBe('1');
    expect(shown.match(/(?<=WARNING: )\w+/g)).toEqual([
      'MaintainerDeprecated',
      'ConsistentInstructionCasing',
      'NoEmptyContinuation',
    ]);
    expect(shown).toMatch(
      /^\nWARNING: MaintainerDeprecated - https:\/\/\S+\nMaintainer instruction is deprecated.*\nDockerfile:2\n-{20}\n {3}1 \| {5}FROM a\n {3}2 \| >>> MAINTAINER x\n/,
    );
  });

  it('tells what is wrong', () => {
    const error = new DockerfileError('it is wrong', [linesOf(3, 4), linesOf(1)]);
    const { json, of } = read(lintResult(source('x'), [], error));
    expect(json).toMatchObject({
      warnings: null,
      buildError: { message: 'it is wrong', location: line(1, 3, 4) },
    });
    expect(of('result.statuscode')).toBe('1');
    expect(read(lintResult(source('x'), [], { message: 'no', ranges: [] })).json.buildError.location).toEqual(
      {},
    );
  });

  it('says when all is well', () => {
    const { json, text, of } = read(lintResult(source('FROM x'), []));
    expect([json.warnings, text, of('result.statuscode')]).toEqual([null, '', '0']);
  });
});

it('tells which requests there are', () => {
  const { json, text } = read(describeResult());
  expect(json.map(({ name }: { name: string }) => name)).toEqual([
    'frontend.outline',
    'frontend.targets',
    'frontend.subrequests.describe',
  ]);
  expect(json[1]).toEqual({
    ...{ name: 'frontend.targets', version: '1.0.0', type: 'rpc', opts: [], inputs: null, refs: null },
    description: 'List all targets current build supports',
    metadata: [
      { name: 'result.json', description: '' },
      { name: 'result.txt', description: '' },
    ],
  });
  expect(text.split('\n')[0]).toBe('NAME                 VERSION DESCRIPTION');
});
