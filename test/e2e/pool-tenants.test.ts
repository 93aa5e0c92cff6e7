import { mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startIssuer } from '../api/auth/oidc-issuer.ts';
import { run } from './harness/command.ts';
import type { Slipway } from './harness/slipway.ts';
import { type Asked, startTenantPool, type TenantPool } from './harness/tenant-pool.ts';

const program = fileURLToPath(new URL('../../bin/slipway', import.meta.url));
const composeProgram = fileURLToPath(new URL('../../.cache/clients/docker-compose', import.meta.url));

let pool: TenantPool;
let folder: string;
let worker: Slipway;
let env: NodeJS.ProcessEnv;
let secrets: Readonly<Record<string, string>>;

const slipway = (...args: string[]) => pool.slipway(...args);
const docker = (tenant: string, ...args: string[]) => pool.docker(tenant, ...args);
const dockerOk = (tenant: string, ...args: string[]) => pool.dockerOk(tenant, ...args);
const ask = (path: string, asked?: Asked) => pool.ask(path, asked);

beforeAll(async () => {
  pool = await startTenantPool();
  ({ folder, worker, env, secrets } = pool);
});
afterAll(() => pool?.[Symbol.asyncDispose]());

it('lets in who shows a certificate or credentials, as the tenant that they belong to', async () => {
  expect((await ask('/_ping')).status).toBe(401);
  expect(await ask('/containers/json', { headers: { Authorization: 'Bearer slr_no' } })).toMatchObject({
    status: 401,
  });
  const bearer = { Authorization: `Bearer ${secrets.a}` };
  expect((await ask('/containers/json', { headers: bearer })).status).toBe(200);
  const basic = Buffer.from(`robot+ci-a:${secrets.a}`).toString('base64');
  expect((await ask('/containers/json', { headers: { Authorization: `Basic ${basic}` } })).status).toBe(200);
  // Whatever a client says of tenants, it is held to its own.
  expect(
    await ask('/containers/json', { certificate: 'a', headers: { 'Slipway-Tenant': 'b' } }),
  ).toMatchObject({
    status: 403,
  });
  expect(
    (await ask('/containers/json', { certificate: 'a', headers: { 'Slipway-Tenant': 'operator' } })).status,
  ).toBe(403);
});

it('lets jobs of a CI in by their OpenID tokens, each as the tenant that its claims are of', async () => {
  await using issuer = await startIssuer();
  const audience = 'https://pool.example';
  for (const tenant of ['a', 'b']) {
    const said = ['--issuer', issuer.url, '--audience', audience, '--claim', `repository=team-${tenant}/*`];
    await slipway('policy', 'trust', `ci-${tenant}`, ...said);
    await slipway('pool', 'tenant-grant', tenant, `federated:ci-${tenant}`);
  }
  const { text: own } = await ask('/info', { certificate: 'a' });
  const asks = async (claims: object, headers: Record<string, string> = {}) => {
    const token = await issuer.token({ aud: audience, sub: 'job', ...claims });
    return await ask('/info', { headers: { Authorization: `Bearer ${token}`, ...headers } });
  };
  const idOf = (text: string) => JSON.parse(text).ID as string;
  const ofA = await asks({ repository: 'team-a/app' });
  expect(ofA.status).toBe(200);
  expect(idOf(ofA.text)).toBe(idOf(own));
  expect(idOf((await asks({ repository: 'team-b/app' })).text)).not.toBe(idOf(own));
  expect((await asks({ repository: 'team-a/app' }, { 'Slipway-Tenant': 'b' })).status).toBe(403);
  for (const claims of [
    { repository: 'team-c/app' },
    { repository: 'team-a/app', aud: 'https://elsewhere.example' },
    { repository: 'team-a/app', exp: Math.floor(Date.now() / 1000) - 3600 },
  ]) {
    expect({ claims, status: (await asks(claims)).status }).toMatchObject({ status: 401 });
  }
});

it('shows nobody what another one has, by whatever name', async () => {
  await dockerOk('b', 'network', 'create', 'net');
  await dockerOk('b', 'volume', 'create', 'data');
  const id = await dockerOk(
    'b',
    'run',
    '-d',
    '--name',
    'web',
    '--network',
    'net',
    '-v',
    'data:/d',
    'busybox',
    'sleep',
    '1000',
  );
  await dockerOk('b', 'tag', 'busybox', 'private:1');
  const exec = JSON.parse(
    (await ask(`/containers/${id}/exec`, { method: 'POST', certificate: 'b', body: { Cmd: ['true'] } })).text,
  ).Id as string;
  const network = await dockerOk('b', 'network', 'inspect', 'net', '--format', '{{.Id}}');
  const none = 'f'.repeat(64);

  const twins: [string, string, string, unknown?][] = [];
  for (const [theirs, nobodys] of [
    ['web', 'nope'],
    [id, none],
    [id.slice(0, 12), none.slice(0, 12)],
  ] as [string, string][]) {
    twins.push(['PUT', `/containers/${theirs}/archive?path=/`, `/containers/${nobodys}/archive?path=/`]);
    twins.push([
      'POST',
      `/build?networkmode=container:${theirs}&remote=x`,
      `/build?networkmode=container:${nobodys}&remote=x`,
    ]);
    const container = (method: string, action: string, body?: unknown) =>
      twins.push([method, `/containers/${theirs}${action}`, `/containers/${nobodys}${action}`, body]);
    for (const action of [
      '/json',
      '/logs?stdout=1',
      '/stats?stream=0',
      '/top',
      '/changes',
      '/export',
      '/archive?path=/',
    ]) {
      container('GET', action);
    }
    for (const action of [
      '/start',
      '/stop',
      '/kill',
      '/restart',
      '/pause',
      '/unpause',
      '/wait',
      '/attach',
      '/rename?name=x',
    ]) {
      container('POST', action);
    }
    container('POST', '/exec', { Cmd: ['id'] });
    container('POST', '/update', { Memory: 10_000_000 });
    container('DELETE', '?force=1');
    twins.push(['POST', `/commit?container=${theirs}`, `/commit?container=${nobodys}`, {}]);
    for (const [key, value] of [
      ['NetworkMode', (it: string) => `container:${it}`],
      ['PidMode', (it: string) => `container:${it}`],
      ['IpcMode', (it: string) => `container:${it}`],
      ['VolumesFrom', (it: string) => [it]],
      ['Links', (it: string) => [`${it}:x`]],
    ] as [string, (it: string) => unknown][]) {
      const made = async (it: string) => {
        const { text } = await ask('/containers/create?name=probe', {
          method: 'POST',
          certificate: 'a',
          body: { Image: 'busybox', Cmd: ['true'], HostConfig: { [key]: value(it) } },
        });
        // What is made all the same is told apart by its ID alone, and does not start.
        const started = (await ask('/containers/probe/start', { method: 'POST', certificate: 'a' })).text;
        await dockerOk('a', 'rm', '--force', 'probe');
        return `${text} ${started}`.replaceAll(it, '…').replaceAll(/[0-9a-f]{64}/g, 'ID');
      };
      const [one, two] = [await made(theirs), await made(nobodys)];
      expect({ key, one }).toEqual({ key, one: two });
    }
  }
  twins.push(['GET', `/exec/${exec}/json`, `/exec/${none}/json`]);
  twins.push(['POST', `/exec/${exec}/start`, `/exec/${none}/start`, {}]);
  for (const [theirs, nobodys] of [
    ['net', 'nope'],
    [network, none],
  ] as [string, string][]) {
    twins.push(['GET', `/networks/${theirs}`, `/networks/${nobodys}`]);
    twins.push(['DELETE', `/networks/${theirs}`, `/networks/${nobodys}`]);
    twins.push(['POST', `/networks/${theirs}/connect`, `/networks/${nobodys}/connect`, { Container: id }]);
  }
  twins.push(['GET', '/volumes/data', '/volumes/nope'], ['DELETE', '/volumes/data', '/volumes/nope']);
  for (const action of ['json', 'history', 'get']) {
    twins.push(['GET', `/images/private:1/${action}`, `/images/absent:1/${action}`]);
  }
  twins.push(['DELETE', '/images/private:1', '/images/absent:1']);
  twins.push(['POST', '/images/private:1/tag?repo=mine', '/images/absent:1/tag?repo=mine']);
  for (const [method, theirs, nobodys, body] of twins) {
    const asked = { method, certificate: 'a', ...(body !== undefined && { body }) };
    const [one, two] = [await ask(theirs, asked), await ask(nobodys, asked)];
    const plain = (text: string) =>
      text
        .replaceAll(id, '…')
        .replaceAll(id.slice(0, 12), '…')
        .replaceAll(none, '…')
        .replaceAll(none.slice(0, 12), '…')
        .replaceAll(network, '…')
        .replaceAll(exec, '…')
        .replace(/\b(?:web|nope|net|data|private|absent)\b/g, '…');
    expect({ theirs, status: one.status, text: plain(one.text) }).toEqual({
      theirs,
      status: two.status,
      text: plain(two.text),
    });
    expect(one.status).toBeGreaterThanOrEqual(400);
  }

  const lists = [
    '/containers/json?all=1',
    '/networks',
    '/volumes',
    '/images/json',
    '/system/df',
    '/info',
    `/events?since=0&until=${Math.ceil(Date.now() / 1000)}`,
    `/containers/json?all=1&filters=${encodeURIComponent('{"name":["web"]}')}`,
    `/containers/json?all=1&filters=${encodeURIComponent(`{"id":["${id}"]}`)}`,
  ];
  for (const path of lists) {
    const { text } = await ask(path, { certificate: 'a' });
    expect(text).not.toContain(id);
    expect(text).not.toContain(network);
    expect(text).not.toMatch(/"(?:\/?web|net|data|private:1)"/);
  }
  for (const what of ['containers', 'networks', 'volumes', 'images', 'build']) {
    expect((await ask(`/${what}/prune`, { method: 'POST', certificate: 'a' })).status).toBe(200);
  }
  expect(await dockerOk('b', 'exec', 'web', 'ls', '/d')).toBe('');
  // What its policy has looked at is passed on all the same.
  expect(await dockerOk('b', 'update', '--restart', 'no', 'web')).toBe('web');
  // Names are a tenant's own: nothing is said of another's.
  expect(await dockerOk('a', 'create', '--name', 'web', 'busybox', 'true')).toMatch(/^[0-9a-f]{64}$/);
  expect(await dockerOk('a', 'volume', 'create', 'data')).toBe('data');
  expect(await dockerOk('a', 'network', 'create', 'net')).toMatch(/^[0-9a-f]{64}$/);
  await docker('a', 'rm', 'web');
  expect(await dockerOk('b', 'ps', '--format', '{{.Names}}')).toBe('web');
  const ip = await dockerOk('b', 'inspect', 'web', '--format', '{{.NetworkSettings.Networks.net.IPAddress}}');
  await dockerOk('b', 'exec', '-d', 'web', 'nc', '-l', '-p', '8080', '-e', 'echo', 'secret');
  expect((await docker('a', 'run', '--rm', 'busybox', 'nc', '-w', '2', ip, '8080')).stdout).not.toContain(
    'secret',
  );
});

it('holds tenants to their policy, in the worker as well', async () => {
  const refused = [
    ['--privileged'],
    ['-v', '/etc:/x'],
    ['--mount', 'type=bind,source=/,target=/x'],
    ['--network', 'host'],
    ['--pid', 'host'],
    ['--cap-add', 'SYS_ADMIN'],
    ['--device', '/dev/null'],
    ['--security-opt', 'seccomp=unconfined'],
    ['--memory', '1g'],
    ['-p', '80:80'],
    ['--cgroup-parent', '/x'],
    ['--sysctl', 'net.ipv4.ip_forward=1'],
    ['--mount', 'type=volume,target=/x,volume-opt=type=none,volume-opt=device=/,volume-opt=o=bind'],
  ];
  for (const flags of refused) {
    const { code, stderr } = await docker('a', 'create', ...flags, 'busybox', 'true');
    expect({ flags, code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('policy does not allow'),
    });
  }
  const mounted = ['--opt', 'type=none', '--opt', 'o=bind', '--opt', 'device=/etc'];
  expect((await docker('a', 'volume', 'create', ...mounted)).stderr).toContain('policy does not allow');
  // What there is no part of for anybody.
  for (const [method, path] of [
    ['POST', '/swarm/init'],
    ['GET', '/secrets'],
    ['POST', '/plugins/pull?remote=x'],
    ['POST', '/services/create'],
  ] as const) {
    const asked = { method, certificate: 'a', ...(method === 'POST' && { body: {} }) };
    expect({ path, status: (await ask(path, asked)).status }).toMatchObject({
      status: expect.toBeOneOf([404, 501, 503]),
    });
  }
  const made = await dockerOk('a', 'create', 'busybox', 'true');
  expect((await docker('a', 'update', '--memory', '1g', '--memory-swap', '1g', made)).stderr).toContain(
    'policy does not allow',
  );
  const compose = join(folder, 'compose.yaml');
  for (const asked of ['privileged: true', 'pid: host', 'volumes: ["/etc:/x"]', 'cgroup_parent: /x']) {
    await writeFile(compose, `services: { x: { image: busybox, ${asked} } }\n`);
    const { code, stderr } = await pool.as('a', composeProgram, '--file', compose, 'up', '--detach');
    expect({ asked, code, stderr }).toMatchObject({
      stderr: expect.stringContaining('policy does not allow'),
    });
    expect(await pool.as('a', composeProgram, '--file', compose, 'down')).toSucceed();
  }
  expect(await dockerOk('a', 'inspect', made, '--format', '{{.HostConfig.Memory}}')).toBe('268435456');
  expect((await docker('a', 'exec', '--privileged', made, 'id')).stderr).toContain('policy does not allow');
  expect((await docker('a', 'pull', 'elsewhere.example/x')).stderr).toContain('policy does not allow');
  await dockerOk('a', 'rm', made);
  const steps = join(folder, 'steps');
  await mkdir(steps);
  const file = 'memory/memory.limit_in_bytes';
  const limit = `cd /sys/fs/cgroup; cat memory.max 2>/dev/null || cat ${file}`;
  await writeFile(join(steps, 'Dockerfile'), `FROM busybox\nRUN ${limit}\n`);
  expect(await dockerOk('a', 'build', '--no-cache', steps)).toContain('268435456');
  for (const [flag, value] of [
    ['--memory', '1g'],
    ['--ulimit', 'rtprio=9:9'],
    ['--cgroup-parent', '/x'],
  ] as const) {
    const { code, stderr } = await docker('a', 'build', '--no-cache', flag, value, steps);
    expect({ flag, code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/not allow|steps may have at most 268435456 bytes/),
    });
  }
  // A gateway that lets everything pass: the worker's own socket, asked for a tenant.
  const identity = { name: 'a', policy: {} };
  const header = Buffer.from(JSON.stringify(identity)).toString('base64url');
  const answer = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const asking = request(
      {
        socketPath: worker.socket,
        path: '/containers/create',
        method: 'POST',
        headers: { 'Slipway-Tenant': header, 'Content-Type': 'application/json' },
      },
      (res) => {
        let text = '';
        res.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        res.on('end', () => resolve({ status: res.statusCode!, text }));
      },
    );
    asking.on('error', reject);
    asking.end(JSON.stringify({ Image: 'busybox', HostConfig: { Privileged: true } }));
  });
  expect(answer).toMatchObject({ status: 403, text: expect.stringContaining('policy does not allow') });
});

it('shuts out whose certificate was taken back, and listens to nobody it does not know', async () => {
  await slipway('pool', 'client-create', 'old', '--for', 'robot:ci-a', '--output', join(folder, 'old'));
  expect((await ask('/_ping', { certificate: 'old' })).status).toBe(200);
  await slipway('pool', 'client-remove', 'old');
  await expect
    .poll(async () => (await ask('/_ping', { certificate: 'old' })).status, { timeout: 30_000 })
    .toBe(401);
  await slipway('pool', 'tenant-revoke', 'b', 'robot:ci-b');
  await expect
    .poll(async () => (await ask('/_ping', { certificate: 'b' })).status, { timeout: 30_000 })
    .toBe(403);
  await slipway('pool', 'tenant-grant', 'b', 'robot:ci-b');
  const { code, stderr } = await run(program, ['gateway', '--set', 'gateway.listen=tcp://0.0.0.0:0'], {
    env,
  });
  expect(code).not.toBe(0);
  expect(stderr).toContain(
    'listening beyond loopback is refused without TLS and the identity of clients (gateway.tls)',
  );
});
