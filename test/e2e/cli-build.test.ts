import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import type { CommandResult } from './harness/command.ts';
import { refusal } from './harness/docker-shell.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** `docker build` as the stock CLI shows it, as against a Docker Engine. */

let slipway: Slipway;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker' });
  await slipway.dockerOk('load', '--input', await busyboxArchive());
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

/** `docker build … -` with the Dockerfile on its standard input. */
const build = (dockerfile: readonly string[], ...options: string[]): Promise<CommandResult> =>
  slipway.docker(['build', ...options, '-'], { input: `${dockerfile.join('\n')}\n` });

function context(name: string, files: Readonly<Record<string, string>>): string {
  const folder = join(slipway.folder, name);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

describe('a build that fails', () => {
  it.each([
    ['exit 7', 7],
    ['nosuch', 127],
    ['/etc', 126],
  ])('in RUN %s exits with the code of the command', async (command, code) => {
    const result = await build(['FROM busybox', `RUN ${command}`]);
    expect(result.code).toBe(code);
    expect(result.stderr).toContain(
      `The command '/bin/sh -c ${command}' returned a non-zero code: ${code}\n`,
    );
  });

  it.each([
    [
      ['FROM busybox', 'FOO x'],
      'dockerfile parse error on line 2: unknown instruction: FOO (did you mean FROM?)',
    ],
    [['RUN x'], 'no build stage in current context'],
    [['FROM busybox', 'ENV A'], 'ENV must have two arguments'],
    [['FROM'], 'dockerfile parse error on line 1: FROM requires either one or three arguments'],
  ])('because of the Dockerfile %j', async (dockerfile, message) => {
    const result = await build(dockerfile);
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining(refusal(message)) });
  });

  it('for want of a file names it', async () => {
    const folder = context('wanting', { Dockerfile: 'FROM busybox\nCOPY nosuch /\n' });
    const result = await slipway.docker(['build', folder]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain(
      'COPY failed: file not found in build context or excluded by .dockerignore: stat nosuch: file does not exist\n',
    );
  });

  it('for want of a stage says so', async () => {
    const result = await build(['FROM busybox'], '--target', 'nosuch');
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('nosuch') });
  });
});

describe('a build', () => {
  it('sends what .dockerignore leaves, and copies it', async () => {
    const folder = context('whole', {
      Dockerfile: [
        'FROM busybox AS first',
        'RUN echo made > /made',
        'FROM busybox',
        'WORKDIR /app',
        'COPY --chown=5:6 --chmod=640 file owned',
        'COPY dir/*.txt texts/',
        'COPY --from=first /made .',
        'COPY . all/',
        '',
      ].join('\n'),
      '.dockerignore': '**/*.log\nDockerfile\n.dockerignore\n',
      file: 'hello\n',
      'dir/one.txt': '1\n',
      'dir/two.txt': '2\n',
      'dir/not.log': 'x\n',
    });
    await slipway.dockerOk('build', '--tag', 'whole', folder);
    const found = await slipway.dockerOk(
      'run',
      '--rm',
      'whole',
      'sh',
      '-c',
      'find . -type f | sort; stat -c %a:%u:%g owned',
    );
    expect(found.split('\n')).toEqual([
      './all/dir/one.txt',
      './all/dir/two.txt',
      './all/file',
      './made',
      './owned',
      './texts/one.txt',
      './texts/two.txt',
      '640:5:6',
    ]);
  });

  it('uses its cache until something changes', async () => {
    const folder = context('cached', {
      Dockerfile: 'FROM busybox\nRUN echo ran\nCOPY file /\nRUN echo after\n',
      file: '1',
    });
    const cacheUses = async () =>
      (await slipway.dockerOk('build', folder)).split('\n').filter((line) => line === ' ---> Using cache')
        .length;
    expect(await cacheUses()).toBe(0);
    expect(await cacheUses()).toBe(3);
    writeFileSync(join(folder, 'file'), '2');
    expect(await cacheUses()).toBe(1);
    const anew = await slipway.dockerOk('build', '--no-cache', folder);
    expect(anew).not.toContain('Using cache');
  });

  it('leaves the last good step of a build that fails to be run, as each step before it', async () => {
    const failed = await build(['FROM busybox', 'RUN echo good > /good', 'RUN cat /missing']);
    expect(failed.code).toBe(1);
    const ids = [...failed.stdout.matchAll(/^ ---> ([0-9a-f]{12})$/gm)].map(([, id]) => id!);
    expect(ids).toHaveLength(2);
    expect(await slipway.dockerOk('run', '--rm', ids[1]!, 'cat', '/good')).toBe('good');
    expect(await slipway.dockerOk('inspect', '--format', '{{.Parent}}', ids[1]!)).toContain(ids[0]);
    await slipway.dockerOk('image', 'prune', '--force');
    expect((await slipway.docker(['inspect', ids[1]!])).code).toBe(1);
  });

  it('has arguments, also before FROM, and warns of those that nobody takes', async () => {
    const result = await build(
      ['ARG TAG=nosuch', 'FROM busybox:$TAG', 'ARG A=default', 'ARG B=default', 'RUN echo "<$A-$B-$TAG>"'],
      ...['--build-arg', 'TAG=latest', '--build-arg', 'B=given', '--build-arg', 'C=unused'],
    );
    expect(result.stdout).toContain('\n<default-given->\n');
    expect(result.stdout + result.stderr).toContain(
      '[Warning] One or more build-args [C] were not consumed\n',
    );
  });

  it('gives commands the host names, limits and networks that are asked for', async () => {
    const result = await build(
      [
        'FROM busybox',
        'RUN grep build-host /etc/hosts; ulimit -n; df -k /dev/shm | tail -1; ip -o link | wc -l',
      ],
      ...[
        '--add-host',
        'build-host:192.0.2.1',
        '--ulimit',
        'nofile=99',
        '--shm-size',
        '1m',
        '--network',
        'none',
      ],
    );
    expect(result.stdout).toMatch(/192\.0\.2\.1\tbuild-host\n99\nshm +1024 .*\n1\n/);
  });

  it('has the directories of its volumes', async () => {
    const result = await build([
      'FROM busybox',
      'VOLUME /made/for/data',
      'RUN echo x > /made/for/data/x && echo fine',
    ]);
    expect(result).toMatchObject({ code: 0, stdout: expect.stringContaining('\nfine\n') });
  });

  it('writes the whole configuration', async () => {
    await build(
      [
        ...[
          'FROM busybox',
          'ENV A=1 B="two words"',
          'LABEL a=b',
          'EXPOSE 80 81/udp',
          'VOLUME /v',
          'USER 1:2',
        ],
        ...[
          'STOPSIGNAL 9',
          'SHELL ["/bin/sh","-ec"]',
          'HEALTHCHECK --interval=1s CMD true',
          'ENTRYPOINT echo hi',
        ],
        ...['CMD a b', 'ONBUILD RUN echo on build'],
      ],
      ...['--tag', 'configured', '--label', 'c=d'],
    );
    const config = JSON.parse(
      await slipway.dockerOk('inspect', '--format', '{{json .Config}}', 'configured'),
    );
    expect(config).toMatchObject({
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'A=1', 'B=two words'],
      Labels: { a: 'b', c: 'd' },
      ExposedPorts: { '80/tcp': {}, '81/udp': {} },
      Volumes: { '/v': {} },
      User: '1:2',
      StopSignal: '9',
      Shell: ['/bin/sh', '-ec'],
      Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 1_000_000_000 },
      Entrypoint: ['/bin/sh', '-ec', 'echo hi'],
      Cmd: ['/bin/sh', '-ec', 'a b'],
      OnBuild: ['RUN echo on build'],
    });
    const child = await build(['FROM configured', 'USER 0']);
    expect(child.stdout).toContain('# Executing 1 build trigger\n');
    expect(child.stdout).toContain('\non build\n');
  });
});
