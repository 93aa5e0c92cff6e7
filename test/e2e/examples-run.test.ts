import { afterAll, beforeAll, expect, it } from 'vitest';
import { seedImages } from '../images/stand-ins.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

// The examples that every guide to docker begins with, word for word, against an image store that is empty.

let slipway: Slipway;

beforeAll(async () => {
  slipway = await startSlipway();
  await seedImages(slipway.registry, ['busybox', 'debian', 'nginx', 'redis']);
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

const page = async (port: number) =>
  (await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(5_000) })).text();

it('docker run -d -p 8080:80 nginx', async () => {
  expect(await slipway.dockerOk('images', '--quiet')).toBe('');

  const { code, stdout, stderr } = await slipway.docker(['run', '-d', '-p', '8080:80', 'nginx']);
  expect({ code, stderr }).toSucceed();
  expect(stderr).toContain("Unable to find image 'nginx:latest' locally");
  expect(stderr).toMatch(/^latest: Pulling from library\/nginx$/m);
  expect(stderr).toMatch(/^[0-9a-f]{12}: Pull complete$/m);
  expect(stderr).toMatch(/^Digest: sha256:[0-9a-f]{64}$/m);
  expect(stderr).toMatch(/^Status: Downloaded newer image for nginx:latest$/m);
  expect(stdout).toMatch(/^[0-9a-f]{64}\n$/);
  await expect.poll(() => page(8080).catch(() => ''), { timeout: 60_000 }).toContain('Welcome to nginx!');

  const id = stdout.trim();
  const [header, row] = (await slipway.dockerOk('ps')).split('\n');
  expect(header).toMatch(/^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES$/);
  expect(row).toMatch(
    new RegExp(
      `^${id.slice(0, 12)} +nginx +"nginx -g 'daemon of…" +.+ ago +Up .+ +0\\.0\\.0\\.0:8080->80/tcp.* +[a-z]+_[a-z]+$`,
    ),
  );

  expect(await slipway.dockerOk('logs', id)).toContain('GET / HTTP/1.1');
  await slipway.dockerOk('stop', id);
  expect(await slipway.dockerOk('ps', '--quiet')).toBe('');
  expect(await slipway.dockerOk('ps', '--all')).toMatch(/Exited \(0\) .* ago/);
  await slipway.dockerOk('start', id);
  await expect.poll(() => page(8080).catch(() => ''), { timeout: 60_000 }).toContain('Welcome to nginx!');
  expect(await slipway.dockerOk('rm', '--force', id)).toBe(id);
  await expect(page(8080)).rejects.toThrow();
});

it('docker version, docker info', async () => {
  const version = await slipway.dockerOk('version');
  expect(version).toMatch(/^Server:/m);
  expect(version).toMatch(/API version: +1\.51 \(minimum version 1\.24\)/);
  const info = await slipway.dockerOk('info');
  expect(info).toMatch(/^ Storage Driver: overlay2$/m);
  expect(info).toMatch(/^ OSType: linux$/m);
});

it('docker pull, docker images, docker rmi', async () => {
  expect(await slipway.dockerOk('pull', 'debian:bookworm')).toMatch(
    /Status: Downloaded newer image for debian:bookworm\n/,
  );
  expect(await slipway.dockerOk('pull', 'debian:bookworm')).toContain(
    'Status: Image is up to date for debian:bookworm',
  );
  expect(await slipway.dockerOk('images', 'debian')).toMatch(
    /^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\ndebian +bookworm +[0-9a-f]{12} +.+ ago +\d+(\.\d+)?MB$/,
  );
  const missing = await slipway.docker(['pull', `${slipway.registry}/library/absent`]);
  expect(missing.code).toBe(1);
  expect(missing.stderr).toMatch(/not found|manifest unknown/);
  expect(await slipway.dockerOk('rmi', 'debian:bookworm')).toContain('Untagged: debian:bookworm');
  expect(await slipway.dockerOk('images', '--quiet', 'debian')).toBe('');
});

it('docker run -it, docker exec -it', async () => {
  {
    using terminal = slipway.dockerTerminal('run', '-it', '--name', 'shell', '--hostname', 'boat', 'busybox');
    await terminal.shows(/# /);
    terminal.type('tty; stty size; hostname\r');
    await terminal.shows(/\/dev\/pts\/\d+\r\n24 80\r\nboat\r\n/);
    terminal.type('exit 3\r');
    expect(await terminal.ends()).toBe(3);
  }
  await slipway.dockerOk('run', '-d', '--name', 'cache', 'redis');
  using terminal = slipway.dockerTerminal('exec', '-it', 'cache', 'redis-cli');
  await terminal.shows(/6379> /);
  terminal.type('set answer 42\r');
  await terminal.shows(/OK\r\n/);
  terminal.type('get answer\r');
  await terminal.shows(/"42"\r\n/);
  terminal.type('exit\r');
  expect(await terminal.ends()).toBe(0);
});

it('docker network create, docker network ls', async () => {
  expect(await slipway.dockerOk('network', 'create', 'backend')).toMatch(/^[0-9a-f]{64}$/);
  const listed = await slipway.dockerOk('network', 'ls');
  expect(listed).toMatch(/^NETWORK ID +NAME +DRIVER +SCOPE$/m);
  for (const row of [
    / backend +bridge +local$/m,
    / bridge +bridge +local$/m,
    / host +host +local$/m,
    / none +null +local$/m,
  ]) {
    expect(listed).toMatch(row);
  }
  await slipway.dockerOk('run', '-d', '--name', 'store', '--network', 'backend', 'redis');
  const ask = ['run', '--rm', '--network', 'backend', 'redis', 'sh', '-c'];
  await expect
    .poll(() => slipway.docker([...ask, 'redis-cli -h store ping']).then(({ stdout }) => stdout))
    .toBe('PONG\n');
});

it('docker volume create, docker volume ls', async () => {
  expect(await slipway.dockerOk('volume', 'create', 'data')).toBe('data');
  expect(await slipway.dockerOk('volume', 'ls')).toMatch(/^DRIVER +VOLUME NAME\n(.*\n)*local +data$/m);
  await slipway.dockerOk('run', '--rm', '-v', 'data:/data', 'busybox', 'sh', '-c', 'echo kept > /data/file');
  expect(await slipway.dockerOk('run', '--rm', '-v', 'data:/data', 'busybox', 'cat', '/data/file')).toBe(
    'kept',
  );
  expect(await slipway.dockerOk('volume', 'rm', 'data')).toBe('data');
});

it('exit codes are those of docker', async () => {
  const code = async (...args: string[]) => (await slipway.docker(['run', '--rm', 'busybox', ...args])).code;
  expect(await code('true')).toBe(0);
  expect(await code('sh', '-c', 'exit 7')).toBe(7);
  expect(await code('no-such-program')).toBe(127);
  expect(await code('/etc/passwd')).toBe(126);
  await slipway.dockerOk('run', '-d', '--name', 'killed', 'busybox', 'sleep', '1000');
  await slipway.dockerOk('kill', 'killed');
  expect(await slipway.dockerOk('wait', 'killed')).toBe('137');
  expect((await slipway.docker(['run', '--rm', '--no-such-flag', 'busybox'])).code).toBe(125);
});
