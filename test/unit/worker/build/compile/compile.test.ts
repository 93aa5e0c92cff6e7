import { describe, expect, it } from 'vitest';
import { BuildArgs } from '#worker/build/compile/build-args.ts';
import { applyChanges } from '#worker/build/compile/changes.ts';
import { parsePorts } from '#worker/build/compile/ports.ts';
import { findStage, stagesFor } from '#worker/build/compile/stage-order.ts';
import { parseDuration } from '#worker/build/dockerfile/duration.ts';
import { parseDockerfile } from '#worker/build/dockerfile/parser.ts';

describe('stages for a target', () => {
  const { stages } = parseDockerfile(
    [
      'FROM a AS base',
      'FROM base AS tools',
      'FROM c AS unused',
      'FROM 0 AS image-called-0',
      'FROM d AS last',
      'COPY --from=tools x y',
      'RUN --mount=from=image-called-0,target=/m x',
    ].join('\n'),
  );
  const order = (target?: string) => stagesFor(stages, target, (stage) => stage.from.image);

  it('are what it is made of, in order', () => {
    expect(order()).toEqual([0, 1, 3, 4]);
    expect(order('tools')).toEqual([0, 1]);
    expect(order('TOOLS')).toEqual([0, 1]);
    expect(order('2')).toEqual([2]);
    expect(order('image-called-0')).toEqual([3]);
    expect(() => order('9')).toThrow('target stage "9" could not be found');
  });

  it('are found by name before position', () => {
    expect(findStage(stages, 'unused')).toBe(2);
    expect(findStage(stages, '4')).toBe(4);
    expect(findStage(stages, '5')).toBeUndefined();
  });
});

describe('build args', () => {
  const args = (given: Record<string, string | null>) =>
    new BuildArgs(given, { os: 'linux', architecture: 'arm64' });

  it('come from the command line, then the stage, then the file, then the builder', () => {
    const build = args({ A: 'given', NULLED: null });
    build.declareGlobal('A', 'x');
    build.declareGlobal('B', 'global');
    expect(build.declared('A', 'stage')).toBe('given');
    expect(build.declared('B', undefined)).toBe('global');
    expect(build.declared('B', 'stage')).toBe('stage');
    expect(build.declared('NULLED', 'stage')).toBe('stage');
    expect(build.declared('TARGETPLATFORM', undefined)).toBe('linux/arm64');
    expect(build.declared('C', undefined)).toBeUndefined();
    expect(build.global('TARGETARCH')).toBe('arm64');
  });

  it('that nobody asks for are named, proxies apart', () => {
    const build = args({ USED: '1', Z: '1', B: '1', http_proxy: 'p' });
    build.declared('USED', undefined);
    expect(build.unused).toEqual(['B', 'Z']);
    expect([...build.proxies]).toEqual([['http_proxy', 'p']]);
  });
});

it.each([
  [['80'], ['80/tcp']],
  [
    ['53/UDP', '1-3/sctp'],
    ['53/udp', '1/sctp', '2/sctp', '3/sctp'],
  ],
  [['8080:80'], ['80/tcp']],
])('reads ports %j', (specs, expected) => {
  expect(parsePorts(specs)).toEqual(expected);
});

it.each(['0', '65536', 'x', '3-1', '80/icmp', '1-', ''])('refuses the port %j', (spec) => {
  expect(() => parsePorts([spec])).toThrow(/invalid (containerPort|proto)/);
});

it.each([
  ['0', 0],
  ['1h2m3.5s', 3723.5e9],
  ['1.5ms', 1.5e6],
  ['.5s', 5e8],
  ['2µs', 2000],
  ['-1s', -1e9],
])('reads the duration %s', (text, expected) => {
  expect(parseDuration(text)).toBe(expected);
});

it.each(['', '1', 's', '1x', '1s2', '1h-1m', `${'9'.repeat(30)}s`])('refuses the duration %j', (text) => {
  expect(() => parseDuration(text)).toThrow(
    /^time: (?:invalid|missing unit in|unknown unit ".*" in) duration/,
  );
});

describe('commit and import changes', () => {
  it('apply to a configuration', () => {
    const changed = applyChanges({ Env: ['A=1'], Cmd: ['old'] }, [
      'ENV B=$A',
      'ENTRYPOINT ["x"]',
      'CMD echo "a b"\nEXPOSE 80',
      'label k="v w"',
    ]);
    expect(changed).toEqual({
      Env: ['A=1', 'B=1'],
      Entrypoint: ['x'],
      Cmd: ['/bin/sh', '-c', 'echo "a b"'],
      ExposedPorts: { '80/tcp': {} },
      Labels: { k: 'v w' },
    });
  });

  it.each(['RUN x', 'COPY a b', 'ADD a b', 'ARG x', 'SHELL ["x"]'])('refuse %s', (change) => {
    expect(() => applyChanges({}, [change])).toThrow('is not a valid change command');
  });

  it('say what is wrong', () => {
    expect(() => applyChanges({}, ['FOO x'])).toThrow('unknown instruction: FOO');
    expect(() => applyChanges({}, ['FROM x'])).toThrow("FROM isn't allowed here");
  });
});
