import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type DockerShell, dockerShell, refusal } from './harness/docker-shell.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** `docker logs` and `docker attach` as against a Docker Engine. */

let slipway: Slipway;
let docker: DockerShell;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker' });
  docker = dockerShell(slipway);
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  await docker.ok(
    `run --name told --label colour=red --log-opt labels=colour --log-opt env=WHO -e WHO=me busybox sh -c 'echo one; echo two; echo three; printf four'`,
  );
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

describe('logs', () => {
  it.each([
    ['', 'one\ntwo\nthree\nfour'],
    ['--tail 2', 'three\nfour'],
    ['--tail 0', ''],
    ['--tail all', 'one\ntwo\nthree\nfour'],
    ['--since 1h', 'one\ntwo\nthree\nfour'],
    ['--since 2000-01-01', 'one\ntwo\nthree\nfour'],
    ['--until 2000-01-01', ''],
    ['--follow', 'one\ntwo\nthree\nfour'],
    ['--follow --tail 1', 'four'],
    [
      '--details',
      'WHO=me,colour=red one\nWHO=me,colour=red two\nWHO=me,colour=red three\nWHO=me,colour=red four',
    ],
  ])('with %j', async (options, shown) => {
    expect(await docker.run(`logs ${options} told`)).toEqual({ code: 0, stdout: shown, stderr: '' });
  });

  it('have a space for details that there are none of', async () => {
    await docker.ok('run --name plain busybox echo hi');
    expect(await docker.ok('logs --details plain')).toBe(' hi');
  });

  it('have the time of each line', async () => {
    const lines = (await docker.ok('logs --timestamps told')).split('\n');
    expect(lines.map((line) => line.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /, ''))).toEqual([
      'one',
      'two',
      'three',
      'four',
    ]);
    const since = lines[2]!.split(' ')[0]!;
    const later = lines.filter((line) => line.split(' ')[0]! >= since);
    expect(await docker.ok(`logs --timestamps --since ${since} told`)).toBe(later.join('\n'));
  });

  it('keep the streams apart', async () => {
    await docker.run(`run --name both busybox sh -c 'echo out; echo err >&2'`);
    expect(await docker.run('logs both')).toEqual({ code: 0, stdout: 'out\n', stderr: 'err\n' });
  });

  it('of a terminal are as it showed them', async () => {
    await docker.run(`run -t --name tty busybox sh -c 'echo out; echo err >&2'`);
    expect(await docker.run('logs tty')).toEqual({ code: 0, stdout: 'out\r\nerr\r\n', stderr: '' });
  });

  it('keep any bytes and lines of any length', async () => {
    const made = await docker.ok(
      `run --name bytes busybox sh -c 'head -c 100000 /dev/urandom | tee /r | sha256sum >&2; cat /r; rm /r'`,
    );
    expect(made).not.toBe('');
    const told = await docker.run('logs bytes');
    expect(told.stderr).toMatch(/^[0-9a-f]{64} {2}-\n$/);
    await docker.run(
      `run --name long busybox sh -c 'head -c 70000 /dev/zero | tr "\\\\0" x; echo; echo end'`,
    );
    const long = await docker.run('logs long');
    expect(createHash('sha256').update(long.stdout).digest('hex')).toBe(
      createHash('sha256')
        .update(`${'x'.repeat(70_000)}\nend\n`)
        .digest('hex'),
    );
    expect((await docker.ok('logs --timestamps long')).split('\n').length).toBe(2);
    expect(await docker.ok('logs --tail 1 long')).toBe('end');
  });

  it('are followed until the container ends', async () => {
    await docker.ok(
      `run -d -i --name followed busybox sh -c 'echo first; read line; echo second $line; exit 4'`,
    );
    const following = docker.run('logs --follow followed');
    await docker.run('attach followed', { input: 'go\n' });
    expect(await following).toEqual({ code: 0, stdout: 'first\nsecond go\n', stderr: '' });
  });

  it('are not there without a log', async () => {
    expect(await docker.ok('run --log-driver none --name unlogged busybox echo hi')).toBe('hi');
    expect(await docker.run('logs unlogged')).toEqual({
      code: 1,
      stdout: '',
      stderr: refusal('configured logging driver does not support reading'),
    });
  });
});

describe('attach', () => {
  it('shows what comes and ends with the container’s code', async () => {
    await docker.ok(`run -d -i --name asked busybox sh -c 'read x; echo got $x; exit 4'`);
    const result = await docker.run('attach asked', { input: 'hey\n' });
    expect(result).toEqual({ code: 4, stdout: 'got hey\n', stderr: '' });
  });

  it('goes to as many as want it', async () => {
    await docker.ok(`run -d -i --name shared busybox sh -c 'read x; echo heard $x'`);
    const listening = [1, 2].map(() => docker.run('attach --no-stdin shared'));
    const attached = `events --since 1 --until ${Math.ceil(Date.now() / 1000) + 1} --filter event=attach --filter container=shared`;
    await expect.poll(async () => (await docker.ok(attached)).split('\n').length).toBe(2);
    const asked = await docker.run('attach shared', { input: 'all\n' });
    const heard = { code: 0, stdout: 'heard all\n', stderr: '' };
    expect([asked, ...(await Promise.all(listening))]).toEqual([heard, heard, heard]);
  });

  it.each([
    ['stdout', 'o\n', ''],
    ['stderr', '', 'e\n'],
  ])('only to %s', async (stream, stdout, stderr) => {
    const result = await docker.run(`run --rm -a ${stream} busybox sh -c 'echo o; echo e >&2'`);
    expect(result).toEqual({ code: 0, stdout, stderr });
  });

  it('is left with keys of one’s own', async () => {
    using terminal = slipway.dockerTerminal(
      'run',
      '-it',
      '--detach-keys',
      'ctrl-x,x',
      '--name',
      'left',
      'busybox',
      'sh',
    );
    await terminal.shows(/# /);
    terminal.type('\x18x');
    expect(await terminal.ends()).toBe(0);
    expect(await docker.ok('inspect -f {{.State.Status}} left')).toBe('running');
  });

  it('is refused to what does not run', async () => {
    expect(await docker.run('attach told')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'You cannot attach to a stopped container, start it first\n',
    });
  });
});

it('logs stay within max-size and max-file, without a gap', async () => {
  const limits = '--log-opt max-size=100k --log-opt max-file=3';
  const script = 'i=0; while [ $i -lt 60000 ]; do echo "line $i"; i=$((i+1)); done';
  await docker.ok(`run --detach --name limited ${limits} busybox sh -c '${script}; sleep 1000'`);
  await expect.poll(() => docker.ok('logs --tail 1 limited'), { timeout: 60_000 }).toBe('line 59999');
  const kept = (await docker.ok('logs limited'))
    .split('\n')
    .map((line) => Number(line.slice('line '.length)));
  expect(kept[0]).toBeGreaterThan(0);
  expect(kept).toEqual(kept.map((_, index) => kept[0]! + index));
  expect(await docker.ok('logs --tail 1000 limited')).toBe(
    kept
      .slice(-1000)
      .map((line) => `line ${line}`)
      .join('\n'),
  );
});
