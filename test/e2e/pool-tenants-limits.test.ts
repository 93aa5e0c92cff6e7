import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeTenant } from '#pool/tenants/tenant-header.ts';
import { parseTenantPolicy, tenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { succeed } from './harness/command.ts';
import { startTenantPool, type TenantPool } from './harness/tenant-pool.ts';

/** What all that a tenant has may take of a worker, which the worker holds to by itself; and the end of a tenant. */

const MIB = 2 ** 20;
const DISK = 320 * MIB;
const POLICY = `worker: { disk: ${DISK}, memory: ${64 * MIB}, pids: 200 }\n`;

let pool: TenantPool;

beforeAll(async () => {
  pool = await startTenantPool({ policy: POLICY });
});
afterAll(() => pool?.[Symbol.asyncDispose]());

/** What the worker has of a tenant beside other tenants'. */
const filesOf = (tenant: string) =>
  readdirSync(join(pool.worker.dataDir, 'tenants')).filter((name) => name.split('~')[0] === tenant);

/** CAP_SYS_RESOURCE, which the worker has if this process has: file systems that are in use grow with it. */
const mayGrow =
  ((BigInt(`0x${/CapEff:\t(\w+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]}`) >> 24n) & 1n) === 1n;

async function build(tenant: string, line: string) {
  const folder = join(pool.folder, 'context');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'Dockerfile'), `FROM busybox\n${line}\n`);
  return await pool.docker(tenant, 'buildx', 'build', '--progress', 'plain', '--no-cache', folder);
}

/** What the worker itself answers, asked for a tenant by who lets everything pass. */
function askWorker(
  tenant: string,
  policy: object,
  method: string,
  path: string,
  body: object = {},
  generation?: number,
) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const identity = writeTenant({ name: tenant, generation, policy: parseTenantPolicy(policy) });
    const headers = { 'Slipway-Tenant': identity, 'Content-Type': 'application/json' };
    const asking = request({ socketPath: pool.worker.socket, path, method, headers }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      res.on('end', () => resolve({ status: res.statusCode!, text }));
    });
    asking.on('error', reject);
    asking.end(method === 'GET' ? undefined : JSON.stringify(body));
  });
}

it('gives a tenant a disk of so many bytes for all that it has', async () => {
  const fill = (megabytes: number, path: string) => [
    'dd',
    'if=/dev/zero',
    `of=${path}`,
    'bs=1M',
    `count=${megabytes}`,
  ];
  const full = { code: 1, stderr: expect.stringContaining('No space left on device') };
  expect(await pool.docker('a', 'run', '--rm', 'busybox', ...fill(600, '/big'))).toMatchObject(full);
  const volume = ['run', '--rm', '--volume', 'data:/d', 'busybox'];
  expect(await pool.docker('a', ...volume, ...fill(600, '/d/big'))).toMatchObject(full);
  // What is on the volume is there still: other things do not fit either, and say so.
  expect((await build('a', 'RUN dd if=/dev/zero of=/big bs=1M count=100')).stderr).toMatch(
    /[Nn]o space left on device/,
  );
  expect(await pool.docker('b', 'run', '--rm', 'busybox', ...fill(100, '/big'))).toSucceed();
  const shown = await pool.dockerOk('a', 'info', '--format', '{{json .DriverStatus}}');
  const [, used, limit] = /disk: (\d+) of (\d+) bytes used/.exec(shown)!;
  expect(Number(used)).toBeGreaterThan(200 * MIB);
  expect(Number(limit)).toBeLessThanOrEqual(DISK);

  await pool.dockerOk('a', 'volume', 'rm', 'data');
  expect(await pool.docker('a', 'run', '--rm', 'busybox', ...fill(100, '/big'))).toSucceed();
  // Another limit is there at once where that can be, and when the worker begins anew.
  const policy = join(pool.folder, 'more.yaml');
  await writeFile(policy, POLICY.replace(String(DISK), String(2 * DISK)));
  await pool.slipway('pool', 'tenant-set', 'a', '--policy', policy);
  const size = async () => {
    const text = await pool.dockerOk('a', 'info', '--format', '{{json .DriverStatus}}');
    return Number(/disk: \d+ of (\d+) bytes used/.exec(text)?.[1] ?? 0);
  };
  const before = await size();
  // It has heard of it.
  await expect
    .poll(
      async () => readFileSync(join(pool.worker.dataDir, 'tenants', 'tenants.json'), 'utf8') + (await size()),
      { timeout: 60_000 },
    )
    .toContain(`"disk":${2 * DISK}`);
  if (mayGrow) await expect.poll(size, { timeout: 60_000 }).toBeGreaterThan(1.8 * DISK);
  else expect(await size()).toBe(before);
  await pool.worker.stop();
  await pool.worker.start();
  await expect.poll(() => size().catch(() => 0), { timeout: 60_000 }).toBeGreaterThan(1.8 * DISK);
  expect(await pool.docker('a', 'run', '--rm', 'busybox', ...fill(400, '/big'))).toSucceed();
});

it('takes nothing of the worker’s disk for one that it has no room for', async () => {
  const make = (policy: object, Name: string) =>
    askWorker('vast', policy, 'POST', '/networks/create', { Name });
  for (const name of ['one', 'two', 'three']) {
    const answer = await make({ worker: { disk: 2 ** 50 } }, name);
    expect(answer).toMatchObject({ status: 503, text: expect.stringContaining('no room for a disk') });
    expect(filesOf('vast')).toEqual(['vast']);
  }
  expect(await make({}, 'four')).toMatchObject({ status: 201 });
});

it('limits all containers and builds of a tenant together', async () => {
  const id = await pool.dockerOk('a', 'run', '--detach', '--name', 'one', 'busybox', 'sleep', '1000');
  const pid = await pool.dockerOk('a', 'inspect', id, '--format', '{{.State.Pid}}');
  const groups = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  expect(groups).toMatch(/\/slipway\/tenants\/[0-9a-f]{16}\//);
  // One that takes all there is dies, in a build as well; neither was limited by itself.
  const hog = await pool.docker('a', 'run', '--rm', 'busybox', 'tail', '/dev/zero');
  expect(hog.code).toBe(137);
  const step = await build('a', 'RUN tail /dev/zero');
  expect(step.code).not.toBe(0);
  expect(step.stderr).toMatch(/137|cannot allocate memory/);
  const many = 'for i in $(seq 1 300); do sleep 30 & done; wait';
  expect((await pool.docker('a', 'run', '--rm', 'busybox', 'sh', '-c', many)).stderr).toContain("can't fork");
  expect(await pool.dockerOk('a', 'inspect', id, '--format', '{{.State.Running}}')).toBe('true');
  await pool.dockerOk('a', 'rm', '--force', 'one');
});

it('has each field of a policy held to by the worker', async () => {
  const host = (HostConfig: object) => ({ Image: 'busybox', HostConfig });
  const create = '/containers/create';
  /** What is refused under the first policy, and is not under the second. */
  const fields: Record<
    Exclude<keyof typeof tenantPolicy.shape, 'gatewayPorts'>,
    [object, object, string, object?]
  > = {
    privileged: [{}, { privileged: true }, create, host({ Privileged: true })],
    hostBinds: [{ hostBinds: ['/srv'] }, { hostBinds: ['/'] }, create, host({ Binds: ['/etc:/x'] })],
    hostNamespaces: [{}, { hostNamespaces: true }, create, host({ PidMode: 'host' })],
    capabilities: [{}, { capabilities: ['SYS_ADMIN'] }, create, host({ CapAdd: ['SYS_ADMIN'] })],
    devices: [
      {},
      { devices: true },
      create,
      host({ Devices: [{ PathOnHost: '/dev/null', PathInContainer: '/dev/x' }] }),
    ],
    unconfined: [{}, { unconfined: true }, create, host({ SecurityOpt: ['seccomp=unconfined'] })],
    ports: [{ ports: 'none' }, {}, create, host({ PortBindings: { '80/tcp': [{ HostPort: '8080' }] } })],
    subnets: [
      {},
      { subnets: true },
      '/networks/create',
      { Name: 'n', IPAM: { Config: [{ Subnet: '192.168.211.0/24' }] } },
    ],
    registries: [{ registries: [] }, {}, '/images/create?fromImage=registry.invalid/x&tag=1'],
    memory: [{ memory: MIB }, {}, create, host({ Memory: 64 * MIB })],
    cpus: [{ cpus: 0.5 }, {}, create, host({ NanoCpus: 1e9 })],
    pids: [{ pids: 10 }, {}, create, host({ PidsLimit: 20 })],
    worker: [{ worker: { cpus: 0.5 } }, {}, create, host({ NanoCpus: 1e9 })],
    // The engine has none of its own: what a pool's network needs is the gateway's to say, and how many the link's.
    overlays: [{ overlays: 0 }, {}, '/networks/create', { Name: 'o', Driver: 'overlay' }],
    containers: [{ containers: 1 }, { containers: 50 }, create, host({})],
  };
  // What gateways publish is theirs to say: workers have no part in it.
  const { gatewayPorts: _, ...shape } = tenantPolicy.shape;
  expect(Object.keys(fields).toSorted()).toEqual(Object.keys(shape).toSorted());
  await askWorker('probe', {}, 'POST', '/networks/create', { Name: 'first' });
  const archive = await pool.docker('a', 'save', 'busybox', '--output', join(pool.folder, 'busybox.tar'));
  expect(archive).toSucceed();
  const env = { ...process.env, DOCKER_HOST: `unix://${pool.worker.socket}` };
  const config = join(pool.folder, 'config-probe');
  await mkdir(config);
  const Authorization = writeTenant({ name: 'probe', policy: parseTenantPolicy({}) });
  await writeFile(
    join(config, 'config.json'),
    JSON.stringify({ HttpHeaders: { 'Slipway-Tenant': Authorization } }),
  );
  await succeed('docker', ['load', '--input', join(pool.folder, 'busybox.tar')], {
    env: { ...env, DOCKER_CONFIG: config },
  });
  expect((await askWorker('probe', {}, 'POST', create, host({}))).status).toBe(201);
  for (const [field, [strict, lenient, path, body]] of Object.entries(fields)) {
    const refused = await askWorker('probe', strict, 'POST', path, body);
    expect({ field, ...refused }).toMatchObject({
      status: 403,
      text: expect.stringContaining('policy does not allow'),
    });
    const allowed = await askWorker('probe', lenient, 'POST', path, body);
    expect({ field, ...allowed }).not.toMatchObject({
      text: expect.stringContaining('policy does not allow'),
    });
  }
});

it('gives nobody what somebody else had under the same name', async () => {
  const list = '/containers/json?all=true';
  const asked = (method: string, path: string, generation?: number) =>
    askWorker('next', {}, method, path, {}, generation);
  expect((await asked('POST', '/volumes/create?name=v')).status).toBe(201);
  expect(await asked('GET', '/volumes')).toMatchObject({ text: expect.stringContaining('"Mountpoint"') });
  const both = await Promise.all([asked('GET', '/volumes', 7), asked('GET', list, 7)]);
  for (const { status, text } of both) {
    expect({ status, text }).toMatchObject({
      status: 200,
      text: expect.not.stringContaining('"Mountpoint"'),
    });
  }
  const former = await asked('GET', list);
  expect(former).toMatchObject({ status: 503, text: expect.stringContaining('was removed') });
});

it('leaves nothing of a tenant that was removed', async () => {
  await pool.dockerOk('b', 'network', 'create', 'net');
  const run = ['run', '--detach', '--network', 'net', '--volume', 'data:/d', 'busybox', 'sleep', '1000'];
  const id = await pool.dockerOk('b', ...run);
  const pid = Number(await pool.dockerOk('b', 'inspect', id, '--format', '{{.State.Pid}}'));
  // On v1 a line has its controllers, on v2 none.
  const [, group] = /:(?:memory)?:(\/slipway\/tenants\/[0-9a-f]{16})\//.exec(
    readFileSync(`/proc/${pid}/cgroup`, 'utf8'),
  )!;
  const groups = () =>
    ['', 'memory', 'cpu', 'pids']
      .map((controller) => join('/sys/fs/cgroup', controller, group!))
      .filter((directory) => existsSync(directory));
  expect(groups()).not.toEqual([]);
  expect(filesOf('b')).toEqual(['b', 'b~disk', 'b~lock']);
  expect(await pool.slipway('pool', 'tenant-remove', 'b')).toContain('removed');
  await expect.poll(async () => (await pool.ask('/_ping', { certificate: 'b' })).status).toBe(403);
  // Its place goes last.
  const placesFile = join(pool.worker.dataDir, 'tenants', 'tenants.json');
  const placesNow = () => JSON.parse(readFileSync(placesFile, 'utf8')) as Record<string, { number: number }>;
  await expect.poll(() => Object.keys(placesNow()), { timeout: 90_000 }).not.toContain('b');
  expect(filesOf('b')).toEqual([]);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
  expect(groups()).toEqual([]);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  expect(mounts).not.toContain(`${join(pool.worker.dataDir, 'tenants', 'b')}/`);
  // Neither a bridge of its own, nor a place among the worker's tenants.
  const numbers = Object.values(placesNow()).map(({ number }) => number);
  const prefix = `slipt${new URL(`tcp://${pool.worker.registry}`).port}t`;
  const bridges = readdirSync('/sys/class/net').filter((name) => name.startsWith(prefix));
  expect(bridges.toSorted()).toEqual(numbers.map((number) => `${prefix}${number}`).toSorted());
  // The name is free, for somebody who has nothing yet.
  await expect
    .poll(() => pool.slipway('pool', 'tenant-set', 'b').catch(() => ''), { timeout: 60_000 })
    .toBe('b');
  await pool.slipway('pool', 'tenant-grant', 'b', 'robot:ci-b');
  await expect
    .poll(async () => (await pool.docker('b', 'ps', '--all', '--quiet')).code, { timeout: 90_000 })
    .toBe(0);
  expect(await pool.dockerOk('b', 'ps', '--all', '--quiet')).toBe('');
  expect(await pool.dockerOk('b', 'volume', 'ls', '--quiet')).toBe('');
  expect(await pool.dockerOk('b', 'images', '--quiet')).toBe('');
});
