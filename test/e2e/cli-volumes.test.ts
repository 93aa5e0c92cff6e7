import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type DockerShell, dockerShell, refusal, runRefusal } from './harness/docker-shell.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** `docker volume`, `-v` and `--mount` as against a Docker Engine. */

let slipway: Slipway;
let docker: DockerShell;
let bind: string;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker' });
  docker = dockerShell(slipway);
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  bind = join(slipway.folder, 'bind');
  mkdirSync(bind);
  writeFileSync(join(bind, 'file'), 'bound\n');
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

describe('a volume', () => {
  it('is made once, listed and removed', async () => {
    await docker.ok('volume create --label a=b kept');
    expect(await docker.ok('volume create kept')).toBe('kept');
    expect(await docker.ok(`volume ls --format '{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}}'`)).toBe(
      'kept local local a=b',
    );
    expect(await docker.ok('volume inspect -f {{.Mountpoint}} kept')).toMatch(/\/volumes\/kept\/_data$/);
    for (const [filter, names] of [
      ['name=ke', 'kept'],
      ['label=a', 'kept'],
      ['label=a=c', ''],
      ['dangling=true', 'kept'],
      ['dangling=false', ''],
      ['driver=nosuch', ''],
    ]) {
      expect(await docker.ok(`volume ls -q --filter ${filter}`)).toBe(names);
    }
    expect(await docker.ok('volume rm kept')).toBe('kept');
  });

  it.each([
    [
      'volume create x',
      'create x: volume name is too short, names should be at least two alphanumeric characters',
    ],
    [
      'volume create x@',
      'create x@: "x@" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
    ],
    [
      'volume create -d nosuch vol',
      'create vol: error looking up volume plugin nosuch: plugin "nosuch" not found',
    ],
    ['volume create -o foo=bar vol', 'create vol: invalid option: "foo"'],
    ['volume ls --filter nosuch=x', "invalid filter 'nosuch'"],
    ['volume ls --filter dangling=x', "invalid filter 'dangling=[x]'"],
  ])('refuses %s', async (line, message) => {
    expect(await docker.run(line)).toEqual({ code: 1, stdout: '', stderr: refusal(message) });
  });

  it('keeps what was written, and is in use as long as there is a container', async () => {
    await docker.ok(`run --name writer -v shared:/data busybox sh -c 'echo kept > /data/file'`);
    expect(await docker.ok('run --rm -v shared:/elsewhere:ro busybox cat /elsewhere/file')).toBe('kept');
    const id = await docker.ok('inspect -f {{.Id}} writer');
    expect((await docker.run('volume rm shared')).stderr).toBe(
      refusal(`remove shared: volume is in use - [${id}]`),
    );
    expect(await docker.ok(`ps -a --filter volume=shared --format '{{.Names}} {{.Mounts}}'`)).toBe(
      'writer shared',
    );
    await docker.ok('rm writer');
    await docker.ok('volume rm shared');
  });

  it('is filled from the image at its first use, unless told otherwise', async () => {
    const inImage = await docker.ok('run --rm busybox ls /etc');
    expect(await docker.ok('run --rm -v filled:/etc busybox ls /etc')).toContain('passwd');
    expect((await docker.ok('run --rm -v filled:/x busybox ls /x')).split('\n')).toEqual(
      expect.arrayContaining(
        inImage.split('\n').filter((name) => !/^(hosts|hostname|resolv.conf|mtab)$/.test(name)),
      ),
    );
    expect(await docker.ok('run --rm -v empty:/home/x:nocopy -v empty2:/var busybox ls /home/x')).toBe('');
    await docker.ok('volume rm filled empty empty2');
  });

  it('without a name goes with its container', async () => {
    await docker.ok('run --rm -v /anonymous busybox true');
    expect(await docker.ok('volume ls -q')).toBe('');
    await docker.ok('run --name owner -v /anonymous busybox true');
    expect(await docker.ok('volume ls -q')).toMatch(/^[0-9a-f]{64}$/);
    await docker.ok('rm --volumes owner');
    expect(await docker.ok('volume ls -q')).toBe('');
  });

  it('of a kernel file system has its options', async () => {
    await docker.ok('volume create -o type=tmpfs -o device=tmpfs -o o=size=1m small');
    expect(
      await docker.ok(`run --rm -v small:/s busybox sh -c 'df -k /s | tail -1 | tr -s " " | cut -d" " -f2'`),
    ).toBe('1024');
    await docker.ok('volume rm small');
  });

  it('is pruned: those without names, and all with --all', async () => {
    await docker.ok('volume create named');
    await docker.ok('volume create');
    expect(await docker.ok('volume prune --force')).toMatch(
      /^Deleted Volumes:\n[0-9a-f]{64}\n\nTotal reclaimed space: 0B$/,
    );
    expect(await docker.ok('volume prune --force --all')).toBe(
      'Deleted Volumes:\nnamed\n\nTotal reclaimed space: 0B',
    );
  });
});

describe('a directory of the host', () => {
  it('is read and written', async () => {
    const shown = await slipway.dockerOk(
      'run',
      '--rm',
      '-v',
      `${bind}:/b`,
      'busybox',
      'sh',
      '-c',
      'cat /b/file; echo w > /b/w',
    );
    expect(shown).toBe('bound');
    expect(readFileSync(join(bind, 'w'), 'utf8')).toBe('w\n');
  });

  it.each([
    ['-v', ':/b:ro'],
    ['--mount', ',dst=/b,readonly'],
  ])('is read-only when asked for with %s', async (option, rest) => {
    const value = option === '-v' ? `${bind}${rest}` : `type=bind,src=${bind}${rest}`;
    const result = await slipway.docker(['run', '--rm', option, value, 'busybox', 'touch', '/b/x']);
    expect(result).toMatchObject({ code: 1, stderr: 'touch: /b/x: Read-only file system\n' });
  });

  it('is made by -v, and has to be there for --mount', async () => {
    const missing = join(slipway.folder, 'missing');
    expect(
      await slipway.docker(['run', '--rm', '--mount', `type=bind,src=${missing},dst=/b`, 'busybox', 'true']),
    ).toEqual({
      code: 125,
      stdout: '',
      stderr: runRefusal(`invalid mount config for type "bind": bind source path does not exist: ${missing}`),
    });
    expect(await slipway.dockerOk('run', '--rm', '-v', `${missing}:/b`, 'busybox', 'ls', '-d', '/b')).toBe(
      '/b',
    );
  });
});

describe('refused is', () => {
  it.each([
    [
      '-v /etc:/',
      `invalid volume specification: '/etc:/': invalid mount config for type "bind": invalid specification: destination can't be '/'`,
    ],
    [
      '-v vol:relative',
      `invalid volume specification: 'vol:relative': invalid mount config for type "volume": invalid mount path: 'relative' mount path must be absolute`,
    ],
    ['-v /etc:/b:foo', 'invalid mode: foo'],
    ['-v v1:/a -v v2:/a', 'Duplicate mount point: /a'],
    ['-v v1:/a:rw,ro', 'invalid mode: rw,ro'],
    ['--volumes-from nosuch', 'No such container: nosuch'],
  ])('%s', async (options, message) => {
    const result = await docker.run(`run --rm ${options} busybox true`);
    expect(result.code).toBe(125);
    expect(result.stderr).toBe(runRefusal(message));
    expect(await docker.ok('volume ls -q')).toBe('');
  });
});

it('volumes come from another container', async () => {
  await slipway.dockerOk(
    'run',
    '--name',
    'giver',
    '-v',
    'given:/data',
    '-v',
    `${bind}:/b:ro`,
    'busybox',
    'touch',
    '/data/x',
  );
  expect(await docker.ok('run --rm --volumes-from giver busybox ls /data /b/file')).toContain('/b/file');
  const refused = await docker.run('run --rm --volumes-from giver:ro busybox touch /data/y');
  expect(refused.stderr).toBe('touch: /data/y: Read-only file system\n');
  await docker.ok('rm giver');
  await docker.ok('volume rm given');
});

it('a temporary file system is as asked for', async () => {
  const shown = await docker.ok(
    `run --rm --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770 busybox sh -c 'stat -c %a /t; df -k /t | tail -1 | tr -s " " | cut -d" " -f2'`,
  );
  expect(shown).toBe('1770\n1024');
});
