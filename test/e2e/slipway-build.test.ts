import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GitServer } from '../contracts/build/git-server.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { TestAuthority } from '../registry/certificates.ts';
import { run } from './harness/command.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

const program = fileURLToPath(new URL('../../bin/slipway', import.meta.url));

let slipway: Slipway;
let context: string;

beforeAll(async () => {
  slipway = await startSlipway();
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  context = join(slipway.folder, 'context');
  mkdirSync(join(context, 'src'), { recursive: true });
  writeFileSync(join(context, 'package.json'), '{"version":1}');
  writeFileSync(join(context, 'src/main'), 'main');
  symlinkSync('src/main', join(context, 'link'));
  writeFileSync(join(context, 'ignored'), 'large');
  writeFileSync(join(context, '.dockerignore'), 'ignored\n');
  writeFileSync(
    join(context, 'Dockerfile'),
    `FROM busybox AS app
ARG VERSION=1
RUN echo "version $VERSION" | tee /version
COPY . /app
RUN --mount=type=secret,id=token cp -r /app /out && echo "Token of $(wc -c < /run/secrets/token)"
FROM scratch AS files
COPY --from=app /out /
FROM app
CMD ["cat", "/app/link"]
`,
  );
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

const env = () => ({ ...slipway.clientEnv, TOKEN: 'hush', PATH: process.env.PATH });

function command(...args: string[]) {
  return run(program, args, { env: env() });
}

function build(...args: string[]) {
  return command('build', '--secret', 'id=token,env=TOKEN', '--progress', 'plain', ...args);
}

/** Steps of the report, with why they were done. */
function report(stderr: string): string[] {
  return stderr
    .slice(stderr.indexOf('Where the time went'))
    .split('\n')
    .map((line) => line.trim());
}

describe('slipway build', () => {
  it('builds a directory as it is, and says where the time went', async () => {
    const { code, stderr } = await build('--tag', 'app:1', '--build-arg', 'VERSION=7', context);
    expect({ code, stderr }).toSucceed();
    expect(stderr).toMatch(/^#\d+ \[app 2\/4\] RUN echo .*\n#\d+ \d\.\d{3} version 7\n#\d+ DONE/m);
    expect(stderr).toMatch(/^#\d+ transferring context: .*done$/m);
    expect(stderr).toMatch(/^Where the time went: .*, 0 of 3 steps cached$/m);
    expect(await slipway.dockerOk('run', '--rm', 'app:1')).toBe('main');
    expect(await slipway.dockerOk('run', '--rm', 'app:1', 'ls', '/app')).toBe(
      'Dockerfile\nlink\npackage.json\nsrc',
    );
  });

  it('does again what has changed, and says why', async () => {
    const unchanged = await build('--build-arg', 'VERSION=7', context);
    expect(unchanged.stderr).toMatch(/3 of 3 steps cached/);
    writeFileSync(join(context, 'package.json'), '{"version":2}');
    const { stderr } = await build('--build-arg', 'VERSION=7', context);
    expect(report(stderr)).toEqual(
      expect.arrayContaining([
        'content of package.json changed',
        'an input was rebuilt: [app 3/4] COPY . /app',
      ]),
    );
    const argument = await build('--build-arg', 'VERSION=8', context);
    expect(report(argument.stderr)).toContain('build argument VERSION changed');
    const renewed = await build('--build-arg', 'VERSION=8', '--no-cache', context);
    expect(report(renewed.stderr)).toContain('no cache: --no-cache');
  });

  it('writes files, over those of the same names, beside others', async () => {
    const out = join(slipway.folder, 'out');
    mkdirSync(join(out, 'src'), { recursive: true });
    writeFileSync(join(out, 'mine'), 'mine');
    writeFileSync(join(out, 'src/main'), 'old');
    const { code, stderr } = await build('--target', 'files', '--output', out, context);
    expect({ code, stderr }).toSucceed();
    expect(readdirSync(out).sort()).toEqual([
      '.dockerignore',
      'Dockerfile',
      'link',
      'mine',
      'package.json',
      'src',
    ]);
    expect(readFileSync(join(out, 'link'), 'utf8')).toBe('main');
    const tar = join(slipway.folder, 'out.tar');
    await build('--target', 'files', '--output', `type=tar,dest=${tar}`, context);
    expect((await run('tar', ['-tf', tar])).stdout).toContain('src/main');
  });

  it('builds a git repository, which the worker fetches', async () => {
    await using git = await GitServer.open(slipway.folder);
    await git.create('repo.git');
    const dockerfile = 'FROM scratch\nCOPY hello /\n';
    await git.commit('repo.git', { 'image/Dockerfile': dockerfile, 'image/hello': 'hello' });
    const out = join(slipway.folder, 'of-git');
    const { code, stderr } = await build('-o', out, `${git.url('repo.git')}#main:image`);
    expect({ code, stderr }).toSucceed();
    expect(readFileSync(join(out, 'hello'), 'utf8')).toBe('hello');
  });

  it.each([
    ['a plain archive', []],
    ['a compressed one', ['--gzip']],
  ])('takes a context from standard input: %s', async (_name, how) => {
    const archive = join(slipway.folder, 'context.tar');
    // The Dockerfile is in the archive, under whatever name.
    writeFileSync(join(slipway.folder, 'of-input'), 'FROM scratch\nCOPY src/main package.json /\n');
    const places = ['-C', slipway.folder, 'of-input', '-C', context, 'src', 'package.json'];
    expect(await run('tar', ['-cf', archive, ...how, ...places])).toSucceed();
    const out = join(slipway.folder, `of-input-${how.length}`);
    const shell = `"$0" build -f of-input -o "$1" - < "$2"`;
    const { code, stderr } = await run('sh', ['-c', shell, program, out, archive], { env: env() });
    expect({ code, stderr }).toSucceed();
    expect(readdirSync(out).sort()).toEqual(['main', 'package.json']);
  });

  it('takes a Dockerfile alone from standard input', async () => {
    const out = join(slipway.folder, 'of-dockerfile');
    const input = 'FROM scratch\nCOPY <<TEXT /said\nit\nTEXT\n';
    const built = await run(program, ['build', '-o', out, '-'], { env: env(), input });
    expect(built).toSucceed();
    expect(readFileSync(join(out, 'said'), 'utf8')).toBe('it\n');
    expect(await run(program, ['build', '-f', '-', '-'], { env: env(), input })).toMatchObject({ code: 2 });
  });

  it('lends keys to commands as an agent', async () => {
    const key = join(slipway.folder, 'id_ed25519');
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    const file = join(slipway.folder, 'Keys');
    writeFileSync(file, 'FROM busybox\nRUN --mount=type=ssh test -S "$SSH_AUTH_SOCK"\n');
    expect(await build('--ssh', `default=${key}`, '--no-cache', '-f', file, context)).toMatchObject({
      code: 0,
    });
    const refused = await build('--ssh', `default=${file}`, '-f', file, context);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('does not take the key') });
  });

  it('goes through TLS, showing who it is', async () => {
    await using authority = await TestAuthority.create();
    for (const name of ['worker', 'cert']) await authority.issue(name);
    const file = (name: string) => readFileSync(authority.path(name));
    copyFileSync(authority.path('cert.key'), authority.path('key.pem'));
    const server = createServer(
      { cert: file('worker.pem'), key: file('worker.key'), ca: file('ca.pem'), requestCert: true },
      (client) => {
        const worker = connect(slipway.socket);
        for (const [from, to] of [
          [client, worker],
          [worker, client],
        ] as const) {
          from.pipe(to);
          from.once('error', () => to.destroy());
          from.once('close', () => to.destroy());
        }
      },
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const through = (...args: string[]) =>
        run(program, [...args, '--host', `tcp://127.0.0.1:${port}`], {
          env: { ...env(), DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: authority.folder },
        });
      const built = await through('build', '--secret', 'id=token,env=TOKEN', '--progress', 'plain', context);
      expect(built).toMatchObject({ code: 0, stderr: expect.stringContaining('Where the time went') });
      expect((await through('builds', 'list')).stdout).toContain('completed');
      rmSync(authority.path('cert.pem'));
      expect(await through('builds', 'list')).toMatchObject({ code: 2 });
      rmSync(authority.path('key.pem'));
      expect(await through('builds', 'list')).toMatchObject({ code: 1 });
    } finally {
      server.close();
    }
  });

  it('fails as the command that failed, with the lines that it is about', async () => {
    const failing = 'FROM busybox\nRUN echo before\nRUN echo Out of Luck && exit 7\n';
    const { code, stderr } = await run(program, ['build', '--progress', 'plain', '-f', '-', context], {
      env: env(),
      input: failing,
    });
    expect(code).toBe(7);
    expect(stderr).toContain('   3 | >>> RUN echo Out of Luck && exit 7');
    expect(stderr).toMatch(/did not complete successfully: exit code: 7$/m);
    const listed = JSON.parse((await command('builds', 'list', '--state', 'failed', '--json')).stdout);
    expect(listed).toHaveLength(1);
    const { stdout } = await command('builds', 'show', listed[0].id);
    expect(stdout).toMatch(/\d\.\ds {2}\[3\/3\] RUN echo Out of Luck/);
    expect((await command('builds', 'logs', listed[0].id)).stdout).toBe('before\nOut of Luck\n');
    const found = await command('builds', 'search', 'out OF luck');
    expect(found.stdout).toContain(`${listed[0].id}  `);
    expect(await command('builds', 'remove', listed[0].id)).toSucceed();
    expect((await command('builds', 'show', listed[0].id)).code).toBe(1);
  });

  it('refuses what is not there', async () => {
    expect(await build(join(context, 'nothing'))).toMatchObject({ code: 2 });
    expect(await build('--secret', 'id=x,src=/nothing', context)).toMatchObject({ code: 2 });
    expect(await build('--host', 'unix:///nothing', context)).toMatchObject({ code: 1 });
    expect(await build('--target', 'nothing', context)).toMatchObject({ code: 1 });
  });

  it('ends when it is interrupted, and the build with it', async () => {
    writeFileSync(join(context, 'sleep.Dockerfile'), 'FROM busybox\nRUN echo asleep && sleep 1000\n');
    const args = ['build', '--progress', 'plain', '-f', join(context, 'sleep.Dockerfile'), context];
    const child = spawn(program, args, { env: env(), stdio: ['ignore', 'ignore', 'pipe'] });
    await said(child, 'asleep');
    child.kill('SIGINT');
    const [code] = await once(child, 'exit');
    expect(code).toBe(130);
    const states = async () => {
      const { stdout } = await command('builds', 'list', '--limit', '1', '--json');
      return JSON.parse(stdout).map(({ state }: { state: string }) => state);
    };
    await expect.poll(states, { timeout: 60_000 }).toEqual(['canceled']);
  });
});

function said(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      if (new RegExp(`\\d ${text}\n`).test(output)) resolve();
    });
    child.once('exit', () => reject(new Error(`it ended without ${text}:\n${output}`)));
  });
}
