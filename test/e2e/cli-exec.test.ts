import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type DockerShell, dockerShell, refusal } from './harness/docker-shell.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** `docker exec` as against a Docker Engine. */

let slipway: Slipway;
let docker: DockerShell;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker' });
  docker = dockerShell(slipway);
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  await docker.ok('run -d --name box -e FOO=of-the-container -w /tmp -u 3:4 busybox sleep 1000');
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

describe('exec has', () => {
  it.each([
    ['the user and directory of the container', '', 'id; pwd', 'uid=3 gid=4 groups=4\n/tmp'],
    ['a user of its own', '-u 0', 'id -u; echo $HOME', '0\n/root'],
    ['a directory of its own', '-w /etc', 'pwd', '/etc'],
    ['the container’s variables', '', 'echo $FOO', 'of-the-container'],
    ['variables of its own', '-e FOO=mine -e BAR=too', 'echo $FOO $BAR', 'mine too'],
    ['no capabilities for a plain user', '', 'grep CapEff /proc/self/status', 'CapEff:\t0000000000000000'],
  ])('%s', async (_, options, command, shown) => {
    const result = await slipway.docker([
      'exec',
      ...options.split(' ').filter(Boolean),
      'box',
      'sh',
      '-c',
      command,
    ]);
    expect(result).toEqual({ code: 0, stdout: `${shown}\n`, stderr: '' });
  });

  it('a terminal when asked for one', async () => {
    using terminal = slipway.dockerTerminal('exec', '-it', 'box', 'sh');
    await terminal.shows(/\$ /);
    terminal.type('tty; stty size; echo $TERM\r');
    await terminal.shows(/\/dev\/pts\/\d+\r\n24 80\r\nxterm\r\n/);
    terminal.type('exit 6\r');
    expect(await terminal.ends()).toBe(6);
  });
});

describe('exec exits with', () => {
  it.each([
    ['the code of the command', `exec box sh -c 'exit 42'`, 42],
    ['128 and the number of the signal', `exec box sh -c 'kill -9 $$'`, 137],
    ['127 when the command is not found', 'exec box nosuch', 127],
    ['126 when the command is a directory', 'exec box /etc', 126],
    ['126 when the command is not executable', 'exec box /etc/passwd', 126],
  ])('%s', async (_, line, code) => {
    expect((await docker.run(line)).code).toBe(code);
  });

  it.each([
    ['exec nosuch true', 'No such container: nosuch'],
    ['exec -d box nosuch', undefined],
    ['exec -u nosuch box true', undefined],
  ])('1 or more when the engine refuses: %s', async (line, message) => {
    const result = await docker.run(line);
    expect(result.code).not.toBe(0);
    if (message) expect(result).toMatchObject({ code: 1, stderr: refusal(message) });
  });

  it('1 when the container does not run', async () => {
    await docker.ok('run --name ended busybox true');
    const id = await docker.ok('inspect -f {{.Id}} ended');
    expect(await docker.run('exec ended true')).toEqual({
      code: 1,
      stdout: '',
      stderr: refusal(`container ${id} is not running`),
    });
  });
});

describe('input and output', () => {
  it('are kept apart', async () => {
    const result = await docker.run(`exec -i box sh -c 'cat; echo error >&2; exit 5'`, { input: 'input\n' });
    expect(result).toEqual({ code: 5, stdout: 'input\n', stderr: 'error\n' });
  });

  it('are not connected without -i', async () => {
    expect(await docker.run('exec box cat', { input: 'input\n' })).toEqual({
      code: 0,
      stdout: '',
      stderr: '',
    });
  });

  it('go through exactly, however much', async () => {
    const bytes = randomBytes(8 << 20);
    const result = await docker.run('exec -i box sha256sum', { input: bytes });
    expect(result.stdout).toBe(`${createHash('sha256').update(bytes).digest('hex')}  -\n`);
    const zeros = await docker.run('exec box head -c 8388608 /dev/zero');
    expect(zeros.stdout.length).toBe(8 << 20);
  });
});

it('a detached exec goes on by itself', async () => {
  expect(await docker.run(`exec -d box sh -c 'echo done > /tmp/done'`)).toEqual({
    code: 0,
    stdout: '',
    stderr: '',
  });
  await expect.poll(async () => (await docker.run('exec box cat /tmp/done')).stdout).toBe('done\n');
});

it('the container names the execs that have not ended', async () => {
  await docker.ok('run -d --name counted busybox sleep 1000');
  await docker.ok('exec counted true');
  expect(await docker.ok(`inspect -f '{{json .ExecIDs}}' counted`)).toBe('null');
  await docker.ok('exec -d counted sleep 1000');
  expect(await docker.ok(`inspect -f '{{json .ExecIDs}}' counted`)).toMatch(/^\["[0-9a-f]{64}"\]$/);
});
