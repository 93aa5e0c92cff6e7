import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type CommandResult, run } from './harness/command.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** Docker's CLI 20.10 with BuildKit, which it has without buildx: `POST /build?version=2` and `/session`. */

const program = fileURLToPath(new URL('../../.cache/clients/docker-20.10', import.meta.url));

let slipway: Slipway;
let context: string;
let secret: string;

beforeAll(async () => {
  if (!existsSync(program)) throw new Error('the old Docker CLI is missing: node setup/main.mjs --for test');
  slipway = await startSlipway({ command: 'worker' });
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  context = join(slipway.folder, 'context');
  mkdirSync(context);
  secret = join(slipway.folder, 'secret');
  writeFileSync(secret, 'hush');
  writeFileSync(join(context, 'file'), 'contents');
  writeFileSync(join(context, 'ignored'), 'x');
  writeFileSync(join(context, '.dockerignore'), 'ignored\n');
  writeFileSync(
    join(context, 'Dockerfile'),
    `FROM busybox AS base
ARG WHO=nobody
RUN --mount=type=secret,id=token test "$(cat /run/secrets/token)" = hush && echo made for $WHO > /made
COPY . /all/
FROM scratch AS files
COPY --from=base /made /all/file /
FROM base
CMD ["cat", "/made", "/all/file"]
`,
  );
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

const environment = () => ({ ...slipway.clientEnv, DOCKER_BUILDKIT: '1' });
const docker = (args: readonly string[], input?: string | Uint8Array): Promise<CommandResult> =>
  run(program, args, { env: environment(), ...(input !== undefined && { input }) });
const build = (args: readonly string[], input?: string | Uint8Array) =>
  docker(['build', '--progress', 'plain', '--secret', `id=token,src=${secret}`, ...args], input);
const lines = (...all: string[]) => `${all.join('\n')}\n`;

describe('a build', () => {
  it('makes an image that runs, and tells its ID', async () => {
    const idFile = join(slipway.folder, 'id');
    const options = ['--build-arg', 'WHO=us', '--label', 'made=here', '--iidfile', idFile, '--tag', 'old:1'];
    const built = await build([...options, '--tag', 'old:2', context]);
    expect(built).toMatchObject({ code: 0, stdout: '' });
    expect(built.stderr).toMatch(/#\d+ \[base 3\/3\] COPY \. \/all\/\n#\d+ sha256:\w+\n#\d+ DONE/);
    expect(built.stderr).toContain('naming to docker.io/library/old:2');
    const id = readFileSync(idFile, 'utf8');
    for (const name of ['old:1', 'old:2', id])
      expect(await slipway.dockerOk('run', '--rm', name)).toBe('made for us\ncontents');
    const label = ['image', 'inspect', '--format', '{{.Id}} {{.Config.Labels.made}}', 'old:1'];
    expect(await slipway.dockerOk(...label)).toBe(`${id} here`);
    expect(await slipway.dockerOk('run', '--rm', 'old:1', 'ls', '-A', '/all')).not.toContain('ignored\n');
    const again = await build(['--build-arg', 'WHO=us', context]);
    expect(again.stderr).toMatch(/COPY \. \/all\/\n#\d+ sha256:\w+\n#\d+ CACHED/);
  });

  it('is BuildKit’s unless the classic builder is asked for', async () => {
    const dockerfile = lines('FROM busybox', 'RUN --mount=type=tmpfs,target=/t touch /t/x');
    const { DOCKER_BUILDKIT: _, ...unsaid } = environment();
    const args = ['build', '--progress', 'plain', '-'];
    expect(await run(program, args, { env: unsaid, input: dockerfile })).toSucceed();
    const classic = { ...unsaid, DOCKER_BUILDKIT: '0' };
    const refused = await run(program, ['build', '-'], { env: classic, input: dockerfile });
    expect(refused.stderr).toContain('the --mount option requires BuildKit');
    const plain = await run(program, ['build', '-'], { env: classic, input: 'FROM busybox\nRUN echo hi\n' });
    expect(plain).toMatchObject({ code: 0, stdout: expect.stringContaining('Step 2/2 : RUN echo hi\n') });
  });

  it('takes its Dockerfile from standard input, without a context and with one', async () => {
    expect(await build(['--tag', 'stdin', '-'], 'FROM busybox\nRUN echo alone > /alone\n')).toMatchObject({
      code: 0,
    });
    expect(await slipway.dockerOk('run', '--rm', 'stdin', 'cat', '/alone')).toBe('alone');
    expect(await build(['--tag', 'both', '-f', '-', context], 'FROM busybox\nCOPY file /f\n')).toMatchObject({
      code: 0,
    });
    expect(await slipway.dockerOk('run', '--rm', 'both', 'cat', '/f')).toBe('contents');
  });

  it.each(['--create', '--gzip'])('takes an archive from standard input (%s)', async (option) => {
    const archive = await text(
      spawn('tar', ['--create', option, '-C', context, '.'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      }).stdout.setEncoding('latin1'),
    );
    const built = await build(['--tag', 'archive', '-'], Buffer.from(archive, 'latin1'));
    expect(built).toSucceed();
    expect(await slipway.dockerOk('run', '--rm', 'archive')).toBe('made for nobody\ncontents');
  });

  it('tells its ID alone when it is to be quiet, and everything if it fails', async () => {
    const quiet = await build(['--quiet', context]);
    expect(quiet).toMatchObject({ code: 0, stderr: '' });
    expect(quiet.stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
    const failed = await build(['--quiet', '-'], 'FROM busybox\nRUN echo wrong >&2; exit 3\n');
    expect(failed).toMatchObject({ code: 1, stdout: '' });
    expect(failed.stderr).toMatch(/^#\d+ \d\.\d+ wrong$/m);
  });

  it('hands out files', async () => {
    const folder = join(slipway.folder, 'out');
    expect(await build(['--target', 'files', '--output', folder, context])).toSucceed();
    expect(readdirSync(folder).sort()).toEqual(['file', 'made']);
    const archive = join(slipway.folder, 'out.tar');
    const tar = ['--target', 'files', '--output', `type=tar,dest=${archive}`];
    expect(await build([...tar, context])).toSucceed();
    expect((await run('tar', ['-tf', archive])).stdout.split('\n').sort()).toEqual(['', 'file', 'made']);
    const refused = await build(['--output', 'type=image', '--output', 'type=image', context]);
    expect(refused.stderr).toContain('multiple outputs not supported');
  });

  it('is lent the client’s agent', async () => {
    const socket = join(slipway.folder, 'agent');
    const agent = createServer((connection) => connection.end()).listen(socket);
    await once(agent, 'listening');
    try {
      const dockerfile = lines('FROM busybox', 'RUN --mount=type=ssh test -S "$SSH_AUTH_SOCK"');
      expect(await build(['--ssh', `default=${socket}`, '-'], dockerfile)).toSucceed();
    } finally {
      agent.close();
    }
  });

  it('has the hosts and the network that are asked for', async () => {
    const command = 'RUN grep -h build-host /etc/hosts; ip -o link | wc -l';
    const options = ['--add-host', 'build-host:192.0.2.1', '--network', 'none'];
    const built = await build([...options, '-'], lines('FROM busybox', command));
    expect(built.stderr).toMatch(/ 192\.0\.2\.1\tbuild-host\n#\d+ [\d.]+ 1\n/);
    expect(await build(['--network', 'host', '-'], lines('FROM busybox', 'RUN true'))).toMatchObject({
      code: 0,
    });
    const named = await build(['--network', 'some', '-'], 'FROM busybox\n');
    expect(named.stderr).toContain('network mode "some" not supported by buildkit');
  });
});

describe('a build that fails', () => {
  it.each([
    [
      'a command',
      ['RUN echo so; exit 7'],
      'process "/bin/sh -c echo so; exit 7" did not complete successfully',
    ],
    ['an instruction', ['FOO x'], 'dockerfile parse error on line 2: unknown instruction: FOO'],
    ['a file', ['COPY nosuch /'], '"/nosuch": not found'],
    ['a secret', ['RUN --mount=type=secret,id=none,required true'], 'secret none: not found'],
  ])('for want of %s says so', async (_what, instructions, message) => {
    const failed = await build(['-'], lines('FROM busybox', ...instructions));
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining(message) });
  });
});

describe('a build that is given up', () => {
  let marker: number;
  beforeEach(() => {
    marker = 1_000_000 + Math.floor(Math.random() * 1_000_000);
  });
  /** Whether its command runs, on the machine that it shares with us. */
  const runs = () =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .some((pid) => commandLine(pid).startsWith(`sleep ${marker}`));

  it.each(['SIGINT', 'SIGKILL'] as const)('by %s ends its command', async (signal) => {
    const child = spawn(program, ['build', '--progress', 'plain', '-'], { env: environment() });
    const output = Promise.all([text(child.stdout), text(child.stderr)]);
    child.stdin.end(lines('FROM busybox', `RUN sleep ${marker}`));
    await expect.poll(runs, { timeout: 60_000 }).toBe(true);
    child.kill(signal);
    await once(child, 'exit');
    await expect.poll(runs, { timeout: 60_000 }).toBe(false);
    if (signal === 'SIGINT') expect((await output)[1]).toMatch(/CANCELED\n[\s\S]*context canceled/);
  });
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
