import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, createServer as createSocketServer, type Server as SocketServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { GitServer } from '../contracts/build/git-server.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { buildKitProgram } from './harness/buildkitd.ts';
import { run, succeed } from './harness/command.ts';
import { findText } from './harness/find-text.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** What a client entrusts to a build is on no disk afterwards, in no log, and in nothing that leaves the worker. */

const TMPFS = 0x01021994;
const secrets = {
  file: 'marker-of-a-file-7f3a',
  variable: 'marker-of-a-variable-91cc',
  git: 'marker-of-git-52de',
  http: 'marker-of-http-08bb',
  registry: 'marker-of-a-registry-6b1f',
};
const given = Object.values(secrets);
const encoded = [
  ...given.map((value) => Buffer.from(value).toString('base64')),
  // Inside of what Basic authentication makes of them.
  Buffer.from(`x-access-token:${secrets.git}`).toString('base64'),
  Buffer.from(`user:${secrets.registry}`).toString('base64'),
];
const open = 'marker-of-what-is-open-a1b2';

let slipway: Slipway;
let git: GitServer;
let agent: SocketServer;
let web: Server;
const asked: IncomingMessage[] = [];
let client: ChildProcess | undefined;

beforeAll(async () => {
  const env = { SLIPWAY_LOG_LEVEL: 'trace', SLIPWAY_LOG_FORMAT: 'json' };
  slipway = await startSlipway({ buildkit: true, env });
  await slipway.dockerOk('load', '-i', await busyboxArchive());
  git = await GitServer.open(join(slipway.folder, 'repositories'));
  await git.create('private.git');
  await git.commit('private.git', { kept: 'kept' });
  git.authorization = `basic ${Buffer.from(`x-access-token:${secrets.git}`).toString('base64')}`;
  web = createServer((request, response) => {
    asked.push(request);
    if (request.url === '/file') response.end('downloaded');
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="closed"' }).end();
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  agent = createSocketServer((socket) => socket.end());
  await new Promise<void>((resolve) => agent.listen(join(slipway.folder, 'agent.sock'), resolve));
  const auth = Buffer.from(`user:${secrets.registry}`).toString('base64');
  writeFileSync(
    join(slipway.folder, 'docker-config/config.json'),
    JSON.stringify({ auths: { [webAddress()]: { auth } } }),
  );
  mkdirSync(join(slipway.folder, 'context'));
});

afterEach(async () => {
  if (client && client.exitCode === null && client.signalCode === null) {
    client.kill('SIGKILL');
    await once(client, 'exit');
  }
});

afterAll(async () => {
  web?.closeAllConnections();
  web?.close();
  agent?.close();
  await git?.[Symbol.asyncDispose]();
  await slipway?.[Symbol.asyncDispose]();
});

const webAddress = () => `127.0.0.1:${(web.address() as AddressInfo).port}`;

const MOUNTS = '--mount=type=secret,id=file --mount=type=secret,id=variable,env=VARIABLE --mount=type=ssh';

function dockerfile(...lines: string[]): string[] {
  const context = join(slipway.folder, 'context');
  writeFileSync(join(context, 'Dockerfile'), lines.join('\n'));
  const args = ['--addr', slipway.buildkit, 'build', '--frontend', 'dockerfile.v0', '--progress', 'plain'];
  args.push('--local', `context=${context}`, '--local', `dockerfile=${context}`, '--allow', 'network.host');
  args.push('--secret', 'id=file,env=FILE', '--secret', 'id=variable,env=VARIABLE');
  args.push('--secret', 'id=GIT_AUTH_TOKEN,env=GIT', '--secret', 'id=HTTP_AUTH_TOKEN_127.0.0.1,env=HTTP');
  args.push('--ssh', `default=${join(slipway.folder, 'agent.sock')}`);
  args.push('--opt', 'attest:provenance=mode=max');
  return args;
}

const clientEnv = () => ({
  ...slipway.clientEnv,
  FILE: secrets.file,
  VARIABLE: secrets.variable,
  GIT: secrets.git,
  HTTP: secrets.http,
});

const build = (args: string[]) => run(buildKitProgram('buildctl'), args, { env: clientEnv() });

/** Everything that is left of builds: on the disk, in what they gave, in what the worker and clients said. */
async function traces(texts: readonly string[], ...said: string[]): Promise<string[]> {
  const builds = (await slipwayApi('/api/v1/builds')) as {
    builds?: { ref: string }[];
    items?: { ref: string }[];
  };
  const logs = [];
  for (const { ref } of builds.builds ?? builds.items ?? []) {
    logs.push(JSON.stringify(await slipwayApi(`/api/v1/builds/${ref}`)));
    logs.push(JSON.stringify(await slipwayApi(`/api/v1/builds/${ref}/logs`)));
  }
  expect(logs.length).toBeGreaterThan(0);
  const told = [...said, slipway.output, ...logs].join('\n');
  return [
    ...texts.filter((text) => told.includes(text)).map((text) => `${text} was told`),
    ...['data', 'run', 'out'].flatMap((name) => findText(join(slipway.folder, name), texts)),
  ];
}

async function slipwayApi(path: string): Promise<unknown> {
  const { stdout } = await run('curl', ['-sf', '--unix-socket', slipway.socket, `http://localhost${path}`]);
  try {
    return JSON.parse(stdout);
  } catch {
    return stdout;
  }
}

it('is used by commands, git, downloads and registries, and leaves no trace', async () => {
  const out = join(slipway.folder, 'out');
  mkdirSync(out);
  const args = dockerfile(
    'FROM busybox AS one',
    `RUN ${MOUNTS} test $(cat /run/secrets/file) = ${secrets.file
      .split('')
      .map((c) => `"${c}"`)
      .join('')} \\`,
    `  && test -n "$VARIABLE" && test -S "$SSH_AUTH_SOCK" && echo ${open} && echo ${open} > /open`,
    `ADD ${git.url('private.git')} /repository`,
    `ADD http://${webAddress()}/file /file`,
    'FROM scratch',
    'COPY --from=one /open /repository/kept /file /',
  );
  const image = join(out, 'image.tar');
  args.push('--output', `type=oci,dest=${image}`, '--metadata-file', join(out, 'metadata.json'));
  args.push('--export-cache', `type=local,dest=${join(out, 'cache')},mode=max`);
  const { code, stdout, stderr } = await build(args);
  expect(code, stderr).toBe(0);
  // The secrets were used.
  expect(asked.map(({ headers }) => headers.authorization)).toContain(`Bearer ${secrets.http}`);
  mkdirSync(join(out, 'image'));
  await succeed('tar', ['-xf', image, '-C', join(out, 'image')]);
  await succeed('rm', [image]);
  // The cache goes to the registry by and by.
  const inRegistry = () => findText(join(slipway.folder, 'data/registry'), [open]);
  await expect.poll(inRegistry, { timeout: 60_000 }).not.toEqual([]);
  // What is looked for would be found: in layers, in caches, in logs.
  const seen = await traces([open], stdout, stderr);
  expect(seen).toContain(`${open} was told`);
  for (const place of ['out/image/blobs', 'out/cache/blobs', 'data/worker', 'data/registry']) {
    expect(seen.join('\n')).toContain(join(slipway.folder, place));
  }
  expect(await traces([...given, ...encoded], stdout, stderr)).toEqual([]);
});

it('is not in what is said of a step that fails, nor of a registry that refuses', async () => {
  const failing = dockerfile('FROM busybox', `RUN ${MOUNTS} wc -c < /run/secrets/file && exit 3`);
  const failed = await build(failing);
  expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining('exit code: 3') });
  const pushing = dockerfile('FROM busybox', 'RUN echo pushed > /pushed');
  asked.length = 0;
  pushing.push('--output', `type=image,name=${webAddress()}/closed,push=true`);
  const refused = await build(pushing);
  expect(refused.code, refused.stderr).toBe(1);
  const basic = `Basic ${Buffer.from(`user:${secrets.registry}`).toString('base64')}`;
  expect(asked.map(({ headers }) => headers.authorization)).toContain(basic);
  expect(await traces([...given, ...encoded], failed.stderr, refused.stderr)).toEqual([]);
});

it('cannot be seen by a step that runs beside', async () => {
  const cache = '--mount=type=cache,id=meeting,target=/meeting,sharing=shared';
  const wait = (name: string) => `for i in $(seq 600); do test -e /meeting/${name} && break; sleep 0.1; done`;
  const { code, stderr } = await build(
    dockerfile(
      'FROM busybox AS knowing',
      `RUN ${MOUNTS} ${cache} touch /meeting/knows; ${wait('looked')}; test -e /meeting/looked`,
      'FROM busybox AS looking',
      `RUN ${cache} ${wait('knows')}; test -e /meeting/knows; cat /proc/[0-9]*/environ /proc/[0-9]*/mounts /proc/[0-9]*/cmdline \\`,
      '  /proc/*/root/run/secrets/* 2>/dev/null | tr "\\\\0" "\\\\n" > /seen; echo "saw $(wc -l < /seen) lines"; touch /meeting/looked',
      'FROM scratch',
      'COPY --from=knowing /etc/passwd /',
      'COPY --from=looking /seen /',
    ),
  );
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/saw [1-9]\d* lines/);
  expect(await traces(given, stderr)).toEqual([]);
});

it('is in memory alone while it is used, and gone when the worker starts after it was killed', async () => {
  const args = dockerfile('FROM busybox', `RUN ${MOUNTS} echo it-runs; sleep 1000`);
  client = spawn(buildKitProgram('buildctl'), args, { env: clientEnv(), stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [client.stdout!, client.stderr!])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  await expect.poll(() => said, { timeout: 60_000 }).toMatch(/^#\d+ [\d.]+ it-runs/m);
  const found = ['data', 'run'].flatMap((name) => findText(join(slipway.folder, name), given));
  expect(found).toEqual([expect.stringMatching(new RegExp(`^${secrets.file} in .*/steps/`))]);
  const [path] = found.map((line) => line.slice(line.indexOf(' in ') + ' in '.length));
  expect(statfsSync(path!).type).toBe(TMPFS);
  await slipway.stop('SIGKILL');
  await slipway.start();
  await expect.poll(() => findText(slipway.folder, given), { timeout: 60_000 }).toEqual([]);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  expect(mounts.filter((line) => line.includes(slipway.folder) && line.includes('/steps/'))).toEqual([]);
});
