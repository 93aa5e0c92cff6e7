import { spawn } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

// Containers as the stock docker CLI drives them.

let slipway: Slipway;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker' });
  await slipway.dockerOk('load', '--input', await busyboxArchive());
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

const inspect = (container: string, format: string) =>
  slipway.dockerOk('inspect', '--format', format, container);

describe('a terminal', () => {
  it('is detached from, attached to and left with an exit code', async () => {
    {
      using terminal = slipway.dockerTerminal('run', '-it', '--name', 'term', 'busybox', 'sh');
      await terminal.shows(/\/ # /);
      terminal.type('tty; stty size\r');
      await terminal.shows(/\/dev\/pts\/0\r\n24 80\r\n/);
      terminal.type('\x10\x11');
      expect(await terminal.ends()).toBe(0);
    }
    expect(await inspect('term', '{{.State.Status}}')).toBe('running');
    using again = slipway.dockerTerminal('attach', 'term');
    again.type('\r');
    await again.shows(/\/ # /);
    again.type('exit 7\r');
    expect(await again.ends()).toBe(7);
    expect(await inspect('term', '{{.State.Status}} {{.State.ExitCode}}')).toBe('exited 7');
  });

  it('of an exec takes control characters', async () => {
    await slipway.dockerOk('run', '-d', '--name', 'execs', 'busybox', 'sleep', '1000');
    using terminal = slipway.dockerTerminal('exec', '-it', 'execs', 'sh');
    await terminal.shows(/\/ # /);
    terminal.type('sleep 100\r');
    await expect.poll(() => slipway.dockerOk('top', 'execs', '-o', 'pid,args')).toContain('sleep 100');
    terminal.type('\x03');
    terminal.type('echo back; exit 3\r');
    await terminal.shows(/\nback\r\n/);
    expect(await terminal.ends()).toBe(3);
    await slipway.dockerOk('rm', '-f', 'execs');
  });
});

describe('input and output', () => {
  it('are passed through exactly, however much, without piling up in the worker', async () => {
    const block = randomFillSync(Buffer.alloc(1 << 20));
    const blocks = 96;
    const sent = createHash('sha256');
    const received = createHash('sha256');
    const child = spawn('docker', ['run', '-i', '--rm', 'busybox', 'cat'], {
      env: slipway.clientEnv,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdout.on('data', (chunk: Buffer) => received.update(chunk));
    for (let count = 0; count < blocks; count++) {
      sent.update(block);
      if (!child.stdin.write(block)) await once(child.stdin, 'drain');
    }
    child.stdin.end();
    const [code] = await once(child, 'close');
    expect(code).toBe(0);
    expect(received.digest('hex')).toBe(sent.digest('hex'));
    const status = readFileSync(`/proc/${slipway.pid}/status`, 'utf8');
    expect(Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1])).toBeLessThan(400 * 1024);
  });

  it('keep their streams apart, and the exit code', async () => {
    const result = await slipway.docker([
      'run',
      '--rm',
      'busybox',
      'sh',
      '-c',
      'echo out; echo err >&2; exit 9',
    ]);
    expect(result).toMatchObject({ code: 9, stdout: 'out\n', stderr: 'err\n' });
  });

  it('end with the process, not with its input', async () => {
    const result = await slipway.docker(['run', '-i', '--rm', 'busybox', 'head', '-c', '3'], {
      input: 'abcdef',
    });
    expect(result).toMatchObject({ code: 0, stdout: 'abc' });
  });

  it('are in the log, whole and in parts', async () => {
    await slipway.dockerOk(
      'run',
      '-d',
      '--name',
      'logged',
      'busybox',
      'sh',
      '-c',
      'for i in 1 2 3; do echo line $i; sleep 0.2; done; echo e >&2',
    );
    const followed = await slipway.docker(['logs', '-f', 'logged']);
    expect(followed).toMatchObject({ code: 0, stdout: 'line 1\nline 2\nline 3\n', stderr: 'e\n' });
    expect((await slipway.docker(['logs', '--tail', '2', 'logged'])).stdout).toBe('line 3\n');
    expect((await slipway.docker(['logs', '--timestamps', '--tail', '1', 'logged'])).stderr).toMatch(
      /^\d{4}-.*Z e\n$/,
    );
    const since = (
      await slipway.docker(['logs', '--since', await inspect('logged', '{{.State.FinishedAt}}'), 'logged'])
    ).stdout;
    expect(since).toBe('');
    expect(await slipway.docker(['logs', 'nosuch'])).toMatchObject({
      code: 1,
      stderr: 'Error response from daemon: No such container: nosuch\n',
    });
  });
});

describe('signals', () => {
  it('of the CLI reach the process', async () => {
    const child = spawn(
      'docker',
      [
        'run',
        '--rm',
        'busybox',
        'sh',
        '-c',
        'trap "echo int; exit 5" INT; echo ready; while :; do sleep 0.05; done',
      ],
      { env: slipway.clientEnv, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (data: string) => {
      output += data;
      if (data.includes('ready')) child.kill('SIGINT');
    });
    expect((await once(child, 'close'))[0]).toBe(5);
    expect(output).toBe('ready\nint\n');
  });

  it('end it with 128 and their number', async () => {
    await slipway.dockerOk('run', '-d', '--name', 'signalled', 'busybox', 'sh', '-c', 'sleep 1000 & wait');
    await slipway.dockerOk('kill', 'signalled');
    expect(await slipway.dockerOk('wait', 'signalled')).toBe('137');
  });
});

it('cp copies files and directories in and out', async () => {
  const source = join(slipway.folder, 'copied');
  mkdirSync(join(source, 'deep'), { recursive: true });
  writeFileSync(join(source, 'deep/file'), 'content\n', { mode: 0o751 });
  await slipway.dockerOk('run', '-d', '--name', 'copies', '-v', 'copies:/data', 'busybox', 'sleep', '1000');
  await slipway.dockerOk('cp', source, 'copies:/root/into');
  await slipway.dockerOk('cp', `${source}/.`, 'copies:/data');
  expect(await slipway.dockerOk('exec', 'copies', 'cat', '/root/into/deep/file', '/data/deep/file')).toBe(
    'content\ncontent',
  );
  expect(await slipway.dockerOk('exec', 'copies', 'stat', '-c', '%a', '/data/deep/file')).toBe('751');
  await slipway.dockerOk('stop', '-t', '0', 'copies');
  await slipway.dockerOk('cp', 'copies:/data/deep', join(slipway.folder, 'out'));
  expect(readFileSync(join(slipway.folder, 'out/file'), 'utf8')).toBe('content\n');
  expect((await slipway.docker(['cp', 'copies:/nope', '/tmp'])).stderr).toContain(
    'Could not find the file /nope in container',
  );
});

it('health checks are run and shown', async () => {
  const check = ['--health-cmd', 'test -e /ok', '--health-interval', '200ms', '--health-retries', '2'];
  await slipway.dockerOk(
    'run',
    '-d',
    '--name',
    'healthy',
    ...check,
    'busybox',
    'sh',
    '-c',
    'sleep 1; touch /ok; sleep 1000',
  );
  expect(await slipway.dockerOk('ps', '--filter', 'name=healthy', '--format', '{{.Status}}')).toMatch(
    /^Up .* \((health: starting|unhealthy)\)$/,
  );
  await expect
    .poll(() => inspect('healthy', '{{.State.Health.Status}}'), { timeout: 60_000 })
    .toBe('healthy');
  await slipway.dockerOk('exec', 'healthy', 'rm', '/ok');
  await expect
    .poll(() => inspect('healthy', '{{.State.Health.Status}}'), { timeout: 60_000 })
    .toBe('unhealthy');
  expect(await slipway.dockerOk('ps', '--quiet', '--filter', 'health=unhealthy')).not.toBe('');
  await slipway.dockerOk('rm', '-f', 'healthy');
});

it('containers share namespaces and links', async () => {
  await slipway.dockerOk(
    'run',
    '-d',
    '--name',
    'peer',
    '--hostname',
    'peer-host',
    'busybox',
    'sleep',
    '1000',
  );
  const address = await inspect('peer', '{{.NetworkSettings.IPAddress}}');
  const joined = await slipway.dockerOk(
    'run',
    '--rm',
    '--network',
    'container:peer',
    '--pid',
    'container:peer',
    'busybox',
    'sh',
    '-c',
    'hostname; ps; ip -4 -o addr show eth0',
  );
  expect(joined).toContain('peer-host');
  expect(joined).toContain('sleep 1000');
  expect(joined).toContain(address);
  const linked = await slipway.dockerOk(
    'run',
    '--rm',
    '--link',
    'peer:db',
    'busybox',
    'sh',
    '-c',
    'cat /etc/hosts; ping -c 1 -W 5 db',
  );
  expect(linked).toMatch(new RegExp(`${address}\\s+db`));
  await slipway.dockerOk('rm', '-f', 'peer');
  const gone = await slipway.docker(['run', '--rm', '--network', 'container:peer', 'busybox', 'true']);
  expect(gone).toMatchObject({ code: 125, stderr: expect.stringContaining('No such container: peer') });
});

it('limits hold, and who runs out of memory is told of', async () => {
  await slipway.docker(['run', '--name', 'hungry', '--memory', '16m', 'busybox', 'tail', '/dev/zero']);
  expect(await inspect('hungry', '{{.State.OOMKilled}} {{.State.ExitCode}}')).toBe('true 137');
});

it('stats, top, port and diff say what goes on', async () => {
  await slipway.dockerOk(
    'run',
    '-d',
    '--name',
    'watched',
    '-p',
    '127.0.0.1::80',
    'busybox',
    'sh',
    '-c',
    'touch /made; sleep 1000',
  );
  expect(
    await slipway.dockerOk(
      'stats',
      '--no-stream',
      '--format',
      '{{.Name}} {{.PIDs}} {{.MemUsage}}',
      'watched',
    ),
  ).toMatch(/^watched [12] [1-9][\d.]*[KM]iB \/ /);
  expect(await slipway.dockerOk('top', 'watched')).toContain('sleep 1000');
  expect(await slipway.dockerOk('port', 'watched')).toMatch(/^80\/tcp -> 127\.0\.0\.1:\d+$/);
  expect(await slipway.dockerOk('diff', 'watched')).toBe('A /made');
  await slipway.dockerOk('rm', '-f', 'watched');
});

it('commit makes an image, with changes', async () => {
  await slipway.dockerOk('run', '--name', 'base', 'busybox', 'sh', '-c', 'echo mine > /file');
  await slipway.dockerOk(
    'commit',
    '--change',
    'CMD ["cat", "/file"]',
    '--change',
    'ENV X=y',
    'base',
    'committed:1',
  );
  expect(await slipway.dockerOk('run', '--rm', 'committed:1')).toBe('mine');
  expect(await slipway.dockerOk('run', '--rm', 'committed:1', 'sh', '-c', 'echo $X')).toBe('y');
});

it('twenty at once come, run and go', async () => {
  const before = await slipway.dockerOk('ps', '-aq');
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      slipway.docker(['run', '--rm', 'busybox', 'echo', `number ${index}`]),
    ),
  );
  expect(results.map(({ stdout }) => stdout)).toEqual(
    Array.from({ length: 20 }, (_, index) => `number ${index}\n`),
  );
  expect(await slipway.dockerOk('ps', '-aq')).toBe(before);
});
