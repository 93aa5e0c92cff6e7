import { describe, expect, it } from 'vitest';
import { notFound, SlipwayError } from '#errors/errors.ts';
import { ownChanges } from '#worker/containers/archive/engine-files.ts';
import { goFileMode } from '#worker/containers/archive/path-stat.ts';
import {
  generateContainerId,
  generateContainerName,
  parseContainerName,
} from '#worker/containers/container-names.ts';
import { nextBackoff } from '#worker/containers/exit/restart-policy.ts';
import { matchesLabels } from '#worker/containers/list/label-filter.ts';
import { parseDuration, parseMoment } from '#worker/containers/list/moment.ts';
import { parseSignal } from '#worker/containers/signals.ts';
import { processEnvironment } from '#worker/containers/start/process-environment.ts';
import { expandPorts } from '#worker/containers/start/sandbox-request-of.ts';
import { runtimeWords, startFailure } from '#worker/containers/start/start-error.ts';
import { commandText } from '#worker/http/containers-summary-shape.ts';

describe('names', () => {
  it('follow Docker’s rule', () => {
    expect(parseContainerName('/web.1_a-b')).toBe('web.1_a-b');
    for (const bad of ['a', '-ab', 'a b', 'ä1', '']) {
      expect(() => parseContainerName(bad)).toThrow(
        `Invalid container name (${bad}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
      );
    }
  });

  it('are made up when nobody gives one', () => {
    expect(parseContainerName(generateContainerName(0))).toMatch(/^[a-z]+_[a-z]+$/);
    expect(generateContainerName(1)).toMatch(/^[a-z]+_[a-z]+\d$/);
    expect(generateContainerId()).toMatch(/^[0-9a-f]{64}$/);
  });
});

it('signals go by number and by name', () => {
  expect(['9', 'KILL', 'sigkill', 'SIGTERM', 'RTMIN+3', 'SIGRTMAX'].map(parseSignal)).toEqual([
    9, 9, 9, 15, 37, 64,
  ]);
  for (const bad of ['0', '65', 'SIGNOPE', '', '-1', 'RTMIN+31'])
    expect(() => parseSignal(bad)).toThrow('invalid signal');
});

describe('a start that fails', () => {
  it.each([
    ['exec: "x": executable file not found in $PATH', 127],
    ['exec: "/x": stat /x: no such file or directory', 127],
    ['exec: "/x": permission denied', 126],
    ['exec: "/etc": is a directory', 126],
    ['mount: not a directory', 127],
    ['something else', 128],
  ])('%s: %d', (words, code) => {
    const { error, exitCode } = startFailure(runtimeWords(new SlipwayError('invalid', words)));
    expect(exitCode).toBe(code);
    expect(error.kind).toBe('invalid');
    expect(error.message).toContain(`OCI runtime create failed: runc create failed: ${words}`);
  });

  it('says "permission denied" of a directory, which is what the CLI looks for', () => {
    expect(startFailure(new SlipwayError('invalid', 'is a directory')).error.message).toContain(
      'permission denied',
    );
  });

  it('keeps what is not the runtime’s', () => {
    const error = notFound('network x not found');
    expect(startFailure(error)).toEqual({ error, exitCode: 128 });
  });
});

it('the environment: the engine’s variables, then the configuration’s; a bare name takes one away', () => {
  const config = { Hostname: 'web', Env: ['PATH=/bin', 'A=1', 'HOSTNAME'] };
  expect(processEnvironment(config as never, { terminal: true, extra: ['A=2'] })).toEqual([
    'PATH=/bin',
    'TERM=xterm',
    'A=2',
  ]);
});

it('the restart delay doubles up to a minute and begins anew after a long run', () => {
  let delay = 0;
  const delays = Array.from({ length: 12 }, () => (delay = nextBackoff(delay, 50)));
  expect(delays.slice(0, 4)).toEqual([100, 200, 400, 800]);
  expect(delays.at(-1)).toBe(60_000);
  expect(nextBackoff(60_000, 10_000)).toBe(100);
});

it('moments are Unix times, dates and durations before now', () => {
  expect(parseMoment('1700000000.25')).toBe(1_700_000_000_250);
  expect(parseMoment('2026-01-02T03:04:05Z')).toBe(Date.parse('2026-01-02T03:04:05Z'));
  expect(parseMoment('1h30m', 10_000_000)).toBe(10_000_000 - 5_400_000);
  expect(parseDuration('1.5s')).toBe(1500);
  expect(parseDuration('5')).toBeUndefined();
  expect(() => parseMoment('yesterday')).toThrow('failed to parse value as time or duration');
});

it('labels fit by name or by name and value', () => {
  expect(matchesLabels({ a: '1', b: '' }, ['a', 'a=1', 'b='])).toBe(true);
  expect(matchesLabels({ a: '1' }, ['a=2'])).toBe(false);
  expect(matchesLabels({}, [])).toBe(true);
});

it('port ranges are ports', () => {
  expect(expandPorts('80')).toEqual(['80/tcp']);
  expect(expandPorts('8000-8002/UDP')).toEqual(['8000/udp', '8001/udp', '8002/udp']);
});

it('commands are shown with arguments quoted', () => {
  expect(commandText('sh', ['-c', 'echo hi'])).toBe("sh -c 'echo hi'");
});

it('file modes are Go’s', () => {
  expect(goFileMode({ mode: 0o040755 })).toBe(2147484141);
  expect(goFileMode({ mode: 0o120777 })).toBe(134218239);
  expect(goFileMode({ mode: 0o104755 })).toBe(8389101);
});

it('places to mount at are no changes, what is put beside them is', () => {
  const changes = [
    { path: '/data', kind: 'added' as const },
    { path: '/etc', kind: 'modified' as const },
    { path: '/etc/hosts', kind: 'added' as const },
    { path: '/proc', kind: 'added' as const },
    { path: '/root', kind: 'modified' as const },
    { path: '/root/new', kind: 'added' as const },
  ];
  expect(ownChanges(changes, ['/data']).map(({ path }) => path)).toEqual(['/root', '/root/new']);
  const touched = [...changes, { path: '/etc/motd', kind: 'added' as const }];
  expect(ownChanges(touched, ['/data']).map(({ path }) => path)).toEqual([
    '/etc',
    '/root',
    '/root/new',
    '/etc/motd',
  ]);
});
