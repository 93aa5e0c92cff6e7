import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createAuth } from '#auth/auth.ts';
import { openRegistryDatabase } from '#database/registry/open.ts';
import type { Digest } from '#oci/digest.ts';
import { recordEvents } from '#registry/events/events-repository.ts';
import { createClients } from '../api/buildkit/clients.ts';
import { AUTH_OPTIONS, basicHeader } from '../registry/auth-registry.ts';
import { DistributionClient } from '../registry/distribution-client.ts';
import { writeImageLayout } from '../registry/image-layout.ts';
import { type CommandResult, run } from './harness/command.ts';
import { startContainerd } from './harness/containerd.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** Stock clients log in to a registry that asks for tokens, and get as far as they were granted. */

let slipway: Slipway;
let pushed: Digest;
const PASSWORD = 'pa$$ word: "ünsafe"';
let secret: string;

beforeAll(async () => {
  slipway = await startSlipway({
    env: {
      SLIPWAY_REGISTRY_AUTH_MODE: 'token',
      SLIPWAY_REGISTRY_AUTH_INITIAL_ADMIN_PASSWORD: PASSWORD,
    },
  });
  secret = await setUpAccounts();
  const layout = join(slipway.folder, 'layout');
  pushed = writeImageLayout(layout);
  for (const name of ['public/busybox', 'team/busybox', 'team/base']) {
    await skopeo('copy', '--dest-creds', `admin:${PASSWORD}`, `oci:${layout}:latest`, image(name));
  }
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

/** From another process than the registry's, which hears of it. Returns the secret of the robot `ci`. */
async function setUpAccounts(): Promise<string> {
  const db = await openRegistryDatabase(join(slipway.dataDir, 'registry/registry.db'));
  try {
    const { users, robots, policies, secrets } = createAuth({ db, record: recordEvents }, AUTH_OPTIONS);
    const actor = { principal: 'user:stage' };
    await users.create({ name: 'ada', password: PASSWORD }, actor);
    await robots.create({ name: 'ci' }, actor);
    await policies.put({ subject: 'user:ada', pattern: 'team/**', actions: ['pull', 'push'] }, actor);
    await policies.put({ subject: 'robot:ci', pattern: 'team/*', actions: ['pull', 'push'] }, actor);
    await policies.put({ subject: 'anonymous', pattern: 'public/**', actions: ['pull'] }, actor);
    return (await secrets.create({ owner: 'robot:ci' }, actor)).secret;
  } finally {
    await db.destroy();
  }
}

const image = (name: string, tag = 'latest') => `docker://${slipway.registry}/${name}:${tag}`;
const name = (path: string) => `${slipway.registry}/${path}`;

/** Nothing of the host's own containers configuration or state is read or written. */
function environment(): NodeJS.ProcessEnv {
  const home = join(slipway.folder, 'home');
  mkdirSync(home, { recursive: true });
  return {
    PATH: process.env.PATH,
    HOME: home,
    XDG_RUNTIME_DIR: home,
    TMPDIR: home,
    REGISTRY_AUTH_FILE: join(home, 'auth.json'),
  };
}

const trySkopeo = (command: string, ...args: string[]): Promise<CommandResult> => {
  const tls =
    command === 'copy' ? ['--src-tls-verify=false', '--dest-tls-verify=false'] : ['--tls-verify=false'];
  return run('skopeo', [command, ...tls, ...args], { env: environment() });
};

async function skopeo(command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await trySkopeo(command, ...args);
  if (code !== 0) throw new Error(`skopeo ${command} ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

it('docker pulls what is public without a login, and nothing else', async () => {
  await slipway.dockerOk('pull', name('public/busybox'));
  const denied = await slipway.docker(['pull', name('team/busybox')]);
  expect(denied.code).toBe(1);
  expect(denied.stderr).toMatch(/denied|unauthorized/);
  expect((await slipway.docker(['push', name('public/busybox')])).code).toBe(1);
});

it('docker login refuses a wrong password', async () => {
  const answer = await slipway.docker(['login', '-u', 'ada', '--password-stdin', slipway.registry], {
    input: 'wrong',
  });
  expect(answer.code).toBe(1);
  expect(answer.stderr).toMatch(/incorrect username or password|unauthorized/);
});

it('docker logs in, pulls, pushes, is held to its grants, and logs out', async () => {
  const login = await slipway.docker(['login', '-u', 'ada', '--password-stdin', slipway.registry], {
    input: PASSWORD,
  });
  expect(login.stdout).toContain('Login Succeeded');
  await slipway.dockerOk('pull', name('team/busybox'));
  await slipway.dockerOk('tag', name('team/busybox'), name('team/tools/busybox:mine'));
  await slipway.dockerOk('push', name('team/tools/busybox:mine'));
  await slipway.dockerOk('tag', name('team/busybox'), name('other/busybox'));
  const denied = await slipway.docker(['push', name('other/busybox')]);
  expect(denied.code).toBe(1);
  expect(denied.stderr).toMatch(/denied|unauthorized/);

  await slipway.dockerOk('logout', slipway.registry);
  expect((await slipway.docker(['push', name('team/tools/busybox:mine')])).code).toBe(1);
  const out = await skopeo('inspect', '--creds', `ada:${PASSWORD}`, image('team/tools/busybox', 'mine'));
  expect(JSON.parse(out).Name).toBe(name('team/tools/busybox'));
});

it('docker logs in as a robot with a secret', async () => {
  const robot = { DOCKER_CONFIG: join(slipway.folder, 'robot-config') };
  mkdirSync(robot.DOCKER_CONFIG);
  const login = await slipway.docker(['login', '-u', 'robot+ci', '--password-stdin', slipway.registry], {
    input: secret,
    env: robot,
  });
  expect(login.stdout).toContain('Login Succeeded');
  await slipway.dockerOk('tag', name('public/busybox'), name('team/robot'));
  const push = await slipway.docker(['push', name('team/robot')], { env: robot });
  expect(push.stderr).toBe('');
  expect((await slipway.docker(['push', name('other/busybox')], { env: robot })).code).toBe(1);
});

it('buildx builds on private images and pushes, and keeps its password to itself', async () => {
  using clients = createClients(`unix://${slipway.socket}`);
  const context = join(slipway.folder, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), `FROM ${name('team/base')}\nCOPY Dockerfile /\n`);
  const build = (to: string, env: NodeJS.ProcessEnv = {}) =>
    clients.buildx(['build', '--progress', 'plain', '--push', '--tag', name(to), context], {
      env: { ...clients.env, ...env },
    });
  const denied = await build('team/built');
  expect(denied.code).toBe(1);
  expect(denied.stderr).toMatch(/denied|unauthorized/);

  const login = ['login', '-u', 'ada', '--password-stdin', slipway.registry];
  expect(await clients.docker(login, { input: PASSWORD })).toSucceed();
  const built = await build('team/built');
  expect(built.code, built.stderr).toBe(0);
  expect(built.stderr).toContain(`[auth] team/base:pull token for ${slipway.registry}`);
  expect(built.stderr).toMatch(/\[auth\] team\/built:pull,push.* token for/);
  expect(built.stderr).not.toContain('sharing credentials');
  expect((await build('other/built')).stderr).toMatch(/denied|unauthorized/);

  // A client that was told to fetch no tokens.
  const shared = await build('team/built', { BUILDKIT_NO_CLIENT_TOKEN: '1' });
  expect(shared.code, shared.stderr).toBe(0);
  expect(shared.stderr).toContain(`[auth] sharing credentials for ${slipway.registry}`);
});

it('skopeo logs in, copies with a mount across repositories, lists and deletes', async () => {
  await run('skopeo', ['login', '--tls-verify=false', '-u', 'ada', '--password-stdin', slipway.registry], {
    env: environment(),
    input: PASSWORD,
  });
  await skopeo('copy', image('team/busybox'), image('team/skopeo', 'v1'));
  expect(JSON.parse(await skopeo('list-tags', `docker://${name('team/skopeo')}`)).Tags).toEqual(['v1']);
  expect((await trySkopeo('copy', image('team/busybox'), image('other/skopeo'))).code).toBe(1);
  // Who may push may not take away.
  expect((await trySkopeo('delete', image('team/skopeo', 'v1'))).code).toBe(1);
  await skopeo('logout', slipway.registry).catch(() => undefined);
  await skopeo('delete', '--creds', `admin:${PASSWORD}`, image('team/skopeo', 'v1'));
  expect((await trySkopeo('inspect', '--creds', `ada:${PASSWORD}`, image('team/skopeo', 'v1'))).code).toBe(1);
});

it.each(['podman', 'buildah'])('%s logs in, pulls, pushes and logs out', async (program) => {
  const state = join(slipway.folder, program);
  mkdirSync(state);
  const storage = ['--root', join(state, 'root'), '--runroot', join(state, 'run'), '--storage-driver', 'vfs'];
  const apart = program === 'podman' ? ['--tmpdir', join(state, 'tmp'), '--events-backend', 'none'] : [];
  const env = { ...environment(), REGISTRY_AUTH_FILE: join(state, 'auth.json') };
  const attempt = (args: string[], input = '') =>
    run(program, [...storage, ...apart, ...args], { env, input });
  const command = async (...args: string[]) => {
    const { code, stderr } = await attempt(args);
    if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  };
  const login = ['login', '--tls-verify=false', '-u', 'ada', '--password-stdin', slipway.registry];
  expect((await attempt(login, 'wrong')).code).not.toBe(0);
  expect(await attempt(login, PASSWORD)).toSucceed();
  await command('pull', '--tls-verify=false', name('team/busybox'));
  await command('tag', name('team/busybox'), name(`team/${program}`));
  await command('tag', name('team/busybox'), name(`other/${program}`));
  await command('push', '--tls-verify=false', name(`team/${program}`));
  expect((await attempt(['push', '--tls-verify=false', name(`other/${program}`)])).code).not.toBe(0);
  await command('logout', slipway.registry);
  expect((await attempt(['push', '--tls-verify=false', name(`team/${program}`)])).code).not.toBe(0);
  await command('rmi', '--all', '--force');
});

it('containerd pulls and pushes with --user', async () => {
  await using containerd = await startContainerd(join(slipway.folder, 'containerd'), environment());
  const user = ['--user', `ada:${PASSWORD}`];
  const target = name('team/containerd:mine');
  const pull = ['images', 'pull', '--plain-http', '--snapshotter', 'native'];
  await containerd.ctr(...pull, ...user, name('team/busybox:latest'));
  await containerd.ctr('images', 'tag', name('team/busybox:latest'), target);
  await containerd.ctr('images', 'push', '--plain-http', ...user, target);
  await expect(containerd.ctr(...pull, name('team/busybox:latest'))).rejects.toThrow(
    /authorization failed|denied|401/,
  );
  await containerd.ctr(...pull, name('public/busybox:latest'));
  const other = name('other/containerd:mine');
  await containerd.ctr('images', 'tag', target, other);
  await expect(containerd.ctr('images', 'push', '--plain-http', ...user, other)).rejects.toThrow();
  const digest = JSON.parse(
    await skopeo('inspect', '--creds', `ada:${PASSWORD}`, image('team/containerd', 'mine')),
  ).Digest;
  expect(digest).toBe(pushed);
});

it('knows nobody by a password outside of the token endpoint, and keeps no password in the clear', async () => {
  const client = new DistributionClient(slipway.registry);
  const answer = await client.send('GET', '/v2/_catalog', { headers: basicHeader(`admin:${PASSWORD}`) });
  client.close();
  expect(answer.status).toBe(401);
  for (const file of ['registry.db', 'registry.db-wal']) {
    const bytes = readFileSync(join(slipway.dataDir, 'registry', file));
    expect(bytes.includes(PASSWORD)).toBe(false);
    expect(bytes.includes(secret)).toBe(false);
  }
  expect(slipway.output).not.toContain(PASSWORD);
});

it('makes up a password for the first administrator, and says it once', async () => {
  await using other = await startSlipway({
    command: 'registry',
    env: { SLIPWAY_REGISTRY_AUTH_MODE: 'token' },
  });
  const said = /made the administrator 'admin' with the password (\S+)/g;
  const [[, password] = []] = [...other.output.matchAll(said)];
  const status = async (credentials: string) => {
    const client = new DistributionClient(other.registry);
    const answer = await client.send('GET', '/token', { headers: basicHeader(credentials) });
    client.close();
    return answer.status;
  };
  expect([await status(`admin:${password}`), await status('admin:admin')]).toEqual([200, 401]);
  await other.stop('SIGKILL');
  await other.start();
  expect([...other.output.matchAll(said)]).toHaveLength(1);
  expect(await status(`admin:${password}`)).toBe(200);
});

it('the classic builder gets a base with what its client is logged in with', async () => {
  const env = { DOCKER_CONFIG: join(slipway.folder, 'classic-config') };
  const build = (...options: string[]) =>
    slipway.docker(['build', '--pull', ...options, '-'], {
      env,
      input: `FROM ${name('team/base')}\nLABEL built=here\n`,
    });
  const denied = await build();
  expect(denied.code).toBe(1);
  expect(denied.stderr).toMatch(/denied|unauthorized/);
  const login = ['login', '--username', 'ada', '--password-stdin', slipway.registry];
  expect(await slipway.docker(login, { env, input: PASSWORD })).toSucceed();
  expect(await build('--tag', 'built')).toSucceed();
  const label = ['image', 'inspect', '--format', '{{.Config.Labels.built}}', 'built'];
  expect(await slipway.dockerOk(...label)).toBe('here');
});
