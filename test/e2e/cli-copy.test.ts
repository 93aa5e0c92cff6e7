import { execFileSync } from 'node:child_process';
import {
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type CommandResult, run } from './harness/command.ts';
import { refusal } from './harness/docker-shell.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** `docker cp` and `export` as against a Docker Engine, in a folder with a file, a directory and a link. */

let slipway: Slipway;
let folder: string;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker' });
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  folder = join(slipway.folder, 'files');
  mkdirSync(join(folder, 'dir/sub'), { recursive: true });
  writeFileSync(join(folder, 'file'), 'hello\n');
  writeFileSync(join(folder, 'dir/one'), '1\n');
  writeFileSync(join(folder, 'dir/sub/two'), '2\n');
  symlinkSync('one', join(folder, 'dir/link'));
  await slipway.dockerOk('create', '--name', 'idle', 'busybox', 'true');
  await slipway.dockerOk(
    ...['run', '-d', '--name', 'busy', '-v', 'data:/data', '-v', `${folder}:/ro:ro`, '--tmpfs', '/tmpfs'],
    ...['busybox', 'sleep', '1000'],
  );
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

const cp = (...args: string[]): Promise<CommandResult> =>
  slipway.docker(['cp', '--quiet', ...args], { cwd: folder });
const copied: CommandResult = { code: 0, stdout: '', stderr: '' };

/** The names in what `docker cp PATH -` writes. */
async function names(path: string): Promise<string[]> {
  const script = 'docker cp "$1" - | tar -t';
  const listed = await run('bash', ['-o', 'pipefail', '-c', script, 'bash', path], {
    env: slipway.clientEnv,
  });
  expect(listed.stderr).toBe('');
  return listed.stdout.split('\n').filter(Boolean).sort();
}

describe('into a container', () => {
  it('a file, by its name or another', async () => {
    expect(await cp('file', 'idle:/root')).toEqual(copied);
    expect(await cp('file', 'idle:/root/other')).toEqual(copied);
    expect(await names('idle:/root')).toEqual(['root/', 'root/file', 'root/other']);
  });

  it('a directory: made, put into one that is there, or its content alone', async () => {
    const inside = ['link', 'one', 'sub/', 'sub/two'];
    expect(await cp('dir', 'idle:/made')).toEqual(copied);
    expect(await names('idle:/made')).toEqual(['made/', ...inside.map((name) => `made/${name}`)]);
    expect(await cp('dir', 'idle:/made')).toEqual(copied);
    expect(await names('idle:/made/dir')).toEqual(['dir/', ...inside.map((name) => `dir/${name}`)]);
    expect(await cp('dir/.', 'idle:/content')).toEqual(copied);
    expect(await names('idle:/content/.')).toEqual(['./', ...inside.map((name) => `./${name}`)]);
  });

  it('an archive', async () => {
    const archive = execFileSync('tar', ['-C', folder, '-c', 'dir']);
    expect(await slipway.docker(['cp', '-', 'idle:/home'], { input: archive })).toEqual(copied);
    expect(await names('idle:/home/dir/sub')).toEqual(['sub/', 'sub/two']);
  });

  it('keeps owners, with and without --archive', async () => {
    chownSync(join(folder, 'file'), 77, 88);
    for (const options of [[], ['--archive']]) {
      expect(await cp(...options, 'file', 'busy:/owned')).toEqual(copied);
      expect(await slipway.dockerOk('exec', 'busy', 'stat', '-c', '%u:%g', '/owned')).toBe('77:88');
    }
    chownSync(join(folder, 'file'), 0, 0);
  });

  it('that runs: to volumes and temporary file systems, and through links', async () => {
    await slipway.dockerOk('exec', 'busy', 'ln', '-s', '/etc', '/to-etc');
    expect(await cp('file', 'busy:/data/file')).toEqual(copied);
    expect(await cp('file', 'busy:/tmpfs/file')).toEqual(copied);
    expect(await cp('file', 'busy:/to-etc/file')).toEqual(copied);
    expect(await slipway.dockerOk('exec', 'busy', 'cat', '/data/file', '/tmpfs/file', '/etc/file')).toBe(
      'hello\nhello\nhello',
    );
  });

  it.each([
    ['what is not there', ['nosuch', 'idle:/'], /^lstat .*nosuch: no such file or directory\n$/],
    ['to a directory that is not there', ['file', 'idle:/nosuch/'], /no such directory\n$/],
    [
      'below a directory that is not there',
      ['file', 'idle:/nosuch/file'],
      /Could not find the file \/nosuch in/,
    ],
    ['to a directory that is a file', ['file', 'idle:/etc/passwd/'], /no such directory\n$/],
    ['a directory over a file', ['dir', 'idle:/etc/passwd'], /cannot copy directory\n$/],
    ['to what is read-only', ['file', 'busy:/ro/x'], /mounted volume is marked read-only\n$/],
    ['to a container that is not there', ['file', 'nosuch:/x'], /No such container: nosuch\n$/],
    [
      'from one container to another',
      ['idle:/etc', 'busy:/'],
      /copying between containers is not supported\n$/,
    ],
  ])('fails for %s', async (_, args, message) => {
    expect(await cp(...args)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(message) });
  });
});

describe('out of a container', () => {
  beforeAll(() => cp('dir', 'idle:/out'));

  it('a directory, with its links', async () => {
    const to = join(slipway.folder, 'out');
    expect(await cp('idle:/out', to)).toEqual(copied);
    expect(readdirSync(to).sort()).toEqual(['link', 'one', 'sub']);
    expect(readlinkSync(join(to, 'link'))).toBe('one');
    expect(await cp('idle:/out', to)).toEqual(copied);
    expect(readdirSync(join(to, 'out')).sort()).toEqual(['link', 'one', 'sub']);
  });

  it('a link, or what it leads to', async () => {
    expect(await cp('idle:/out/link', join(slipway.folder, 'kept'))).toEqual(copied);
    expect(readlinkSync(join(slipway.folder, 'kept'))).toBe('one');
    expect(await cp('--follow-link', 'idle:/out/link', join(slipway.folder, 'followed'))).toEqual(copied);
    expect(readFileSync(join(slipway.folder, 'followed'), 'utf8')).toBe('1\n');
  });

  it('that runs: what only it can see', async () => {
    await slipway.dockerOk('exec', 'busy', 'sh', '-c', 'echo shared > /dev/shm/x');
    expect(await names('busy:/dev/shm')).toEqual(['shm/', 'shm/x']);
    expect(await names('busy:/etc/hosts')).toEqual(['hosts']);
  });

  it('that runs: all of it, without what is the kernel’s', async () => {
    const all = await names('busy:/');
    expect(all).toContain('bin/sh');
    expect(all).toContain('proc/');
    expect(all.filter((name) => /^(proc|sys|dev)\/./.test(name))).toEqual([]);
  });

  it.each(['/nosuch', '/nosuch/x', '/etc/passwd/', '/proc/version', '/sys/kernel'])(
    'fails for %s',
    async (path) => {
      expect(await cp(`busy:${path}`, '-')).toEqual({
        code: 1,
        stdout: '',
        stderr: refusal(`Could not find the file ${path} in container busy`),
      });
    },
  );
});

it('export gives the root file system without mounts', async () => {
  const script = 'docker export busy | tar -t';
  const exported = await run('bash', ['-o', 'pipefail', '-c', script], { env: slipway.clientEnv });
  const all = exported.stdout.split('\n');
  expect(all).toEqual(expect.arrayContaining(['.dockerenv', 'bin/sh', 'data/', 'tmpfs/', 'ro/']));
  expect(all.filter((name) => /^(data|tmpfs|ro|proc|sys)\/./.test(name))).toEqual([]);
});
