import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestAuthority } from '../registry/certificates.ts';
import { writeImageLayout } from '../registry/image-layout.ts';
import { type CommandResult, run, succeed } from './harness/command.ts';
import { Dockerd } from './harness/dockerd.ts';
import { freePorts } from './harness/free-port.ts';

/** docs/secure.md, from an empty data folder: a registry beyond loopback, with TLS and accounts, and stock clients. */

const program = fileURLToPath(new URL('../../bin/slipway', import.meta.url));
const PASSWORD = 'correct horse battery';

let host: string;
let registry: string;
let monitoring: string;
let folder: string;
let settings: string;
let authority: TestAuthority;
let server: ChildProcess | undefined;
let output = '';
let dockerd: Dockerd;

beforeAll(async () => {
  const [port, monitored] = await freePorts(2);
  monitoring = `127.0.0.1:${monitored}`;
  // An address of this machine that is not loopback, and that nobody else has (RFC 5737).
  host = `192.0.2.${1 + (port! % 250)}`;
  registry = `${host}:${port}`;
  await succeed('ip', ['address', 'add', `${host}/32`, 'dev', 'lo'], { env: process.env });
  folder = mkdtempSync(join(tmpdir(), 'slipway-secured-'));
  chmodSync(folder, 0o711);
  authority = await TestAuthority.create();
  chmodSync(authority.folder, 0o755);
  for (const name of ['first', 'second']) await authority.issue(name, [`IP:${host}`]);
  settings = join(folder, 'slipway.yaml');
  show('first');
  mkdirSync(`/etc/docker/certs.d/${registry}`, { recursive: true });
  cpSync(authority.path('ca.pem'), `/etc/docker/certs.d/${registry}/ca.crt`);
  dockerd = await Dockerd.start({ network: 'host' });
});

afterAll(async () => {
  await dockerd?.[Symbol.asyncDispose]();
  if (server?.exitCode === null) {
    server.kill('SIGTERM');
    await once(server, 'exit');
  }
  rmSync(`/etc/docker/certs.d/${registry}`, { recursive: true, force: true });
  await run('rmdir', ['--ignore-fail-on-non-empty', '/etc/docker/certs.d']);
  await run('ip', ['address', 'delete', `${host}/32`, 'dev', 'lo'], { env: process.env });
  await authority?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Puts a certificate where the registry looks, its key readable for the registry's account alone. */
function show(name: string): void {
  cpSync(authority.path(`${name}.pem`), join(folder, 'registry.pem'));
  cpSync(authority.path(`${name}.key`), join(folder, 'registry.key'));
  chmodSync(join(folder, 'registry.key'), 0o640);
}

function configure(registrySettings: object): void {
  writeFileSync(settings, JSON.stringify({ registry: { listen: registry, ...registrySettings } }));
}

const tls = () => ({
  certificate: join(folder, 'registry.pem'),
  key: join(folder, 'registry.key'),
  clientCa: null,
});

const environment = () => ({
  ...process.env,
  SLIPWAY_CONFIG: settings,
  SLIPWAY_DATA_DIR: join(folder, 'data'),
  SLIPWAY_RUN_DIR: join(folder, 'run'),
});

function slipway(args: readonly string[], input?: string): Promise<CommandResult> {
  return run(program, args, { env: environment(), ...(input !== undefined && { input }) });
}

async function slipwayOk(args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await slipway(args, input);
  expect([args, code, stderr]).toEqual([args, 0, '']);
  return stdout.trim();
}

async function skopeo(args: readonly string[], credentials?: string): Promise<CommandResult> {
  const env = { PATH: process.env.PATH, HOME: folder, XDG_RUNTIME_DIR: folder };
  const certificates = ['--dest-cert-dir', `/etc/docker/certs.d/${registry}`];
  return await run(
    'skopeo',
    ['copy', ...certificates, ...(credentials ? ['--dest-creds', credentials] : []), ...args],
    { env },
  );
}

function shownName(): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const [, port] = registry.split(':');
  const socket = connect({ host, port: Number(port), rejectUnauthorized: false }, () => {
    resolve(String(socket.getPeerCertificate().subject.CN));
    socket.destroy();
  });
  socket.once('error', reject);
  return promise;
}

it('refuses to listen beyond loopback without TLS and authentication, in one line', async () => {
  for (const [given, missing] of [
    [{}, /refused without TLS .* and authentication/],
    [{ tls: tls() }, /refused without authentication/],
    [{ auth: { mode: 'token' } }, /refused without TLS/],
  ] as const) {
    configure(given);
    const { code, stdout, stderr } = await slipway(['registry']);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^slipway: [^\n]*\n$/);
    expect(stderr).toMatch(missing);
  }
});

it('starts with both, on accounts that were made before it', async () => {
  configure({ tls: tls(), auth: { mode: 'token' }, monitoring: { listen: monitoring } });
  await slipwayOk(['user', 'add', 'ada', '--admin'], `${PASSWORD}\n`);
  const account = statSync(join(folder, 'data/registry/registry.db'));
  chownSync(join(folder, 'registry.key'), 0, account.gid);
  expect(account.uid).not.toBe(0);
  await slipwayOk(['policy', 'grant', 'anonymous', 'public/**', 'pull']);

  server = spawn(program, ['registry'], { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [server.stdout!, server.stderr!]) {
    stream.setEncoding('utf8').on('data', (data: string) => {
      output += data;
    });
  }
  for (let tries = 0; !output.includes(`serves https://${registry}`); tries++) {
    if (server.exitCode !== null || tries > 600) throw new Error(`the registry does not start:\n${output}`);
    await sleep(50);
  }
  expect(await shownName()).toBe('first');

  expect((await fetch(`http://${monitoring}/readyz`)).status).toBe(200);
  const metrics = await (await fetch(`http://${monitoring}/metrics`)).text();
  const expiry = /^slipway_tls_certificate_expiry_seconds (\S+)$/m.exec(metrics)?.[1];
  expect(Number(expiry)).toBeGreaterThan(Date.now() / 1000);
});

it('serves the docker CLI and skopeo over TLS, each as far as was granted', async () => {
  const layout = join(folder, 'layout');
  writeImageLayout(layout);
  const to = (name: string) => [`oci:${layout}:latest`, `docker://${registry}/${name}`];
  expect((await skopeo(to('public/busybox'))).code).not.toBe(0);
  expect((await skopeo(to('public/busybox'), 'ada:wrong password')).code).not.toBe(0);
  expect(await skopeo(to('public/busybox'), `ada:${PASSWORD}`)).toSucceed();

  // Anonymous, then as a robot that was made while the registry runs.
  await dockerd.dockerOk('pull', `${registry}/public/busybox`);
  await dockerd.dockerOk('tag', `${registry}/public/busybox`, `${registry}/team/app:v1`);
  expect((await dockerd.docker(['push', `${registry}/team/app:v1`])).code).not.toBe(0);
  const made = await slipwayOk(['robot', 'add', 'ci', '--grant', 'team/**=pull,push', '--json']);
  const { secret } = JSON.parse(made) as { secret: string };
  const login = ['login', '--username', 'robot+ci', '--password-stdin', registry];
  expect((await dockerd.docker(login, { input: 'slr_wrong' })).code).not.toBe(0);
  expect(await dockerd.docker(login, { input: secret })).toSucceed();
  await dockerd.dockerOk('push', `${registry}/team/app:v1`);
  await dockerd.dockerOk('tag', `${registry}/team/app:v1`, `${registry}/others/app:v1`);
  const denied = await dockerd.docker(['push', `${registry}/others/app:v1`]);
  expect([denied.code, /denied|unauthorized/.test(denied.stderr)]).toEqual([1, true]);
  await dockerd.dockerOk('rmi', `${registry}/team/app:v1`);
  await dockerd.dockerOk('pull', `${registry}/team/app:v1`);
});

it('takes another certificate when it is asked to, and goes on', async () => {
  show('second');
  chownSync(join(folder, 'registry.key'), 0, statSync(join(folder, 'data/registry/registry.db')).gid);
  server!.kill('SIGHUP');
  for (let tries = 0; (await shownName()) !== 'second'; tries++) {
    if (tries > 200) throw new Error(`the certificate before is still shown:\n${output}`);
    await sleep(50);
  }
  await dockerd.dockerOk('pull', `${registry}/team/app:v1`);
});

it('knows who did what, and who was denied what', async () => {
  const audit = async (...args: string[]) =>
    JSON.parse(await slipwayOk(['audit', '--json', ...args])) as {
      actor: string;
      address: string;
      action: string;
    }[];
  const pushes = await audit('--repository', 'team/app', '--action', 'manifest.push');
  expect(pushes).toMatchObject([{ actor: 'robot:ci', address: host }]);
  await expect
    .poll(async () => (await audit('--denied')).map(({ action, actor }) => `${actor} ${action}`), {
      timeout: 60_000,
    })
    .toEqual(expect.arrayContaining(['anonymous login.password', 'robot:ci repository.push']));
  expect(output).not.toContain(PASSWORD);

  await slipwayOk(['robot', 'disable', 'ci']);
  await expect
    .poll(async () => (await dockerd.docker(['pull', `${registry}/team/app:v1`])).code, { timeout: 60_000 })
    .not.toBe(0);
});
