import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { run, succeed } from './harness/command.ts';
import { freePorts } from './harness/free-port.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

const WORKERS = ['worker-1', 'worker-2', 'worker-3'] as const;
/** For what is right as soon as word of it has gone round. */
const SOON = { timeout: 60_000 };

let pool: Slipway;
let clients: Clients;

beforeAll(async () => {
  pool = await startSlipway({
    args: ['--workers', String(WORKERS.length)],
    env: {
      SLIPWAY_WORKER_NETWORK_ADDRESS_POOLS: '[{ base: 10.219.0.0/16, size: 24 }]',
      SLIPWAY_POOL_LEASE: '8s',
    },
  });
  clients = createClients(`unix://${pool.socket}`);
  await pool.dockerOk('load', '--input', await busyboxArchive());
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await pool?.[Symbol.asyncDispose]();
});

/** Runs a container that stays, on a worker. */
async function start(worker: string, name: string, ...options: string[]): Promise<void> {
  const where = ['--env', `constraint:worker==${worker}`];
  await pool.dockerOk('run', '--detach', '--name', name, ...where, ...options, 'busybox', 'sleep', '3600');
}

const exec = (name: string, ...command: string[]) => pool.docker(['exec', name, ...command]);

const pings = async (from: string, to: string) =>
  (await exec(from, 'ping', '-c', '1', '-W', '1', to)).code === 0;

/** In the network namespace of a worker. */
const inside = (worker: string, command: string, ...args: string[]) =>
  succeed('nsenter', [`--net=${join(pool.folder, 'run', worker, 'netns')}`, command, ...args]);

interface Inspection {
  readonly Containers: Record<string, { Name: string; IPv4Address: string }>;
  readonly Peers: { Name: string; IP: string }[];
  readonly Driver: string;
}

const inspected = async (network: string) =>
  JSON.parse(await pool.dockerOk('network', 'inspect', '--format', '{{json .}}', network)) as Inspection;

it('is one network over all workers, with names', async () => {
  await pool.dockerOk('network', 'create', '--driver', 'overlay', '--attachable', 'wide');
  for (const [index, worker] of WORKERS.entries()) {
    await start(worker, `w${index + 1}`, '--network', 'wide', '--network-alias', `alias-${index + 1}`);
  }
  const ways = { w1: ['w2', 'alias-3'], w2: ['w1', 'w3.wide'], w3: ['w3', 'w1', 'alias-2'] };
  for (const [from, names] of Object.entries(ways)) {
    for (const to of names) {
      await expect.poll(() => pings(from, to), { ...SOON, message: `${from} to ${to}` }).toBe(true);
    }
  }
  const shown = await inspected('wide');
  expect(
    Object.values(shown.Containers)
      .map(({ Name }) => Name)
      .toSorted(),
  ).toEqual(['w1', 'w2', 'w3']);
  expect(new Set(Object.values(shown.Containers).map(({ IPv4Address }) => IPv4Address)).size).toBe(3);
  expect(shown.Peers.map(({ Name }) => Name)).toEqual([...WORKERS]);
  expect((await exec('w1', 'cat', '/sys/class/net/eth0/mtu')).stdout).toBe('1350\n');
});

it('gives each address once, however many ask for one at once', async () => {
  const names = Array.from({ length: 9 }, (_, index) => `many-${index}`);
  await Promise.all(
    names.map((name, index) => start(WORKERS[index % WORKERS.length]!, name, '--network', 'wide')),
  );
  const { Containers } = await inspected('wide');
  const addresses = Object.values(Containers).map(({ IPv4Address }) => IPv4Address);
  expect(addresses).toHaveLength(12);
  expect(new Set(addresses).size).toBe(12);
  await expect.poll(() => pings('many-0', 'many-8'), SOON).toBe(true);
  await pool.dockerOk('rm', '--force', ...names);
  expect(Object.keys((await inspected('wide')).Containers)).toHaveLength(3);
  expect((await exec('w1', 'nslookup', 'many-8')).code).not.toBe(0);
});

it('connects and disconnects, and is not removed while it is used', async () => {
  await pool.dockerOk('network', 'create', '--driver', 'overlay', '--subnet', '10.190.7.0/24', 'second');
  for (const name of ['w1', 'w3'])
    await pool.dockerOk('network', 'connect', '--alias', `${name}-two`, 'second', name);
  await expect.poll(() => pings('w1', 'w3-two'), SOON).toBe(true);
  const address = await pool.dockerOk(
    'inspect',
    '--format',
    '{{.NetworkSettings.Networks.second.IPAddress}}',
    'w3',
  );
  expect(address).toMatch(/^10\.190\.7\./);
  expect((await pool.docker(['network', 'rm', 'second'])).stderr).toContain('has active endpoints');
  expect((await pool.docker(['network', 'create', '--driver', 'overlay', 'second'])).stderr).toContain(
    'network with name second already exists',
  );
  const overlapping = ['network', 'create', '--driver', 'overlay', '--subnet', '10.190.0.0/16', 'third'];
  expect((await pool.docker(overlapping)).stderr).toContain('Pool overlaps with other one');
  await pool.dockerOk('network', 'disconnect', 'second', 'w3');
  await expect.poll(() => pings('w1', 'w3-two'), SOON).toBe(false);
  expect(await pings('w1', 'w3')).toBe(true);
  await pool.dockerOk('network', 'disconnect', 'second', 'w1');
  await pool.dockerOk('network', 'rm', 'second');
  const devices = async () =>
    (await Promise.all(WORKERS.map((w) => inside(w, 'ip', '-brief', 'link')))).join('\n');
  await expect.poll(async () => (await devices()).match(/vx-/g)?.length, SOON).toBe(3);
});

it('has a subnet and a name again at once', async () => {
  for (const round of [1, 2, 3, 4, 5]) {
    const name = round < 4 ? 'again' : 'other';
    await pool.dockerOk('network', 'create', '--driver', 'overlay', '--subnet', '10.190.8.0/24', name);
    const where = ['--env', 'constraint:worker==worker-1', '--network', name];
    await pool.dockerOk('run', '--rm', ...where, 'busybox', 'true');
    await pool.dockerOk('network', 'rm', name);
  }
});

it('heals after a partition, and goes on when all that is ours is killed', async () => {
  const cable = `slipt${pool.registry.split(':')[1]}v2`;
  await succeed('ip', ['link', 'set', cable, 'down']);
  expect(await pings('w1', 'w2')).toBe(false);
  expect(await pings('w1', 'w3')).toBe(true);
  await succeed('ip', ['link', 'set', cable, 'up']);
  await expect.poll(() => pings('w1', 'w2'), SOON).toBe(true);
  await pool.stop('SIGKILL');
  await pool.start();
  for (const to of ['w1', 'w2', 'w3']) await expect.poll(() => pings('w3', to), SOON).toBe(true);
  await start('worker-2', 'late', '--network', 'wide');
  await expect.poll(() => pings('w1', 'late'), SOON).toBe(true);
  expect(Object.keys((await inspected('wide')).Containers)).toHaveLength(4);
  await pool.dockerOk('rm', '--force', 'late');
});

it('encrypts what goes over an encrypted network', async () => {
  await pool.dockerOk('network', 'create', '--driver', 'overlay', '--opt', 'encrypted', 'secret');
  for (const [index, worker] of WORKERS.entries())
    await start(worker, `s${index + 1}`, '--network', 'secret');
  for (const to of ['s2', 's3']) await expect.poll(() => pings('s1', to), SOON).toBe(true);
  const [tunnel] = /swg[0-9a-f]+/.exec(await inside('worker-1', 'ip', '-brief', 'link')) ?? [];
  const sent = (await inside('worker-1', 'wg', 'show', tunnel!, 'transfer')).trim().split('\n');
  expect(sent.filter((line) => /\t[1-9]\d*\t[1-9]\d*$/.test(line))).toHaveLength(2);
  const devices = await inside('worker-1', 'ip', '-details', 'link', 'show', 'type', 'vxlan');
  expect(devices).toMatch(/local fd53:6c70:/);
  await pool.dockerOk('rm', '--force', 's1', 's2', 's3');
  await pool.dockerOk('network', 'rm', 'secret');
});

/** What a web server of a container says. */
const fetched = (port: number) =>
  fetch(`http://127.0.0.1:${port}/name`, { signal: AbortSignal.timeout(2_000) }).then(
    async (answer) => (await answer.text()).trim(),
    () => 'nothing',
  );

async function serve(worker: string, name: string, port: number): Promise<{ code: number; stderr: string }> {
  const options = ['--detach', '--name', name, '--publish', `${port}:80`];
  const command = ['sh', '-c', `echo ${name} > /tmp/name; httpd -f -p 80 -h /tmp`];
  const where = ['--env', `constraint:worker==${worker}`];
  return await pool.docker(['run', ...options, ...where, 'busybox', ...command]);
}

it('publishes ports at the gateway, each of one container in the pool', async () => {
  const [port] = (await freePorts(1)) as [number];
  expect(await serve('worker-2', 'first', port)).toSucceed();
  await expect.poll(() => fetched(port), SOON).toBe('first');
  const second = await serve('worker-3', 'second', port);
  expect(second.code).not.toBe(0);
  expect(second.stderr).toMatch(/port is already allocated .* on worker worker-2/);
  process.kill(pool.rolePid('gateway'), 'SIGKILL');
  await pool.ready();
  await expect.poll(() => fetched(port), SOON).toBe('first');
  await pool.dockerOk('rm', '--force', 'first');
  await pool.dockerOk('start', 'second');
  await expect.poll(() => fetched(port), SOON).toBe('second');
  await pool.dockerOk('rm', '--force', 'second');
  await expect.poll(() => fetched(port), SOON).toBe('nothing');
});

it('lets a Compose project be on several workers, if its network is', async () => {
  const file = join(pool.folder, 'compose.yaml');
  const service = (worker: string) =>
    `{ image: busybox, command: [sleep, '3600'], environment: ['constraint:worker==${worker}'] }`;
  const network = '{ driver: overlay, attachable: true }';
  writeFileSync(
    file,
    `services:\n  web: ${service('worker-1')}\n  db: ${service('worker-3')}\nnetworks: { default: ${network} }\n`,
  );
  const env = { ...pool.clientEnv, DOCKER_CONFIG: clients.folder };
  const compose = (...args: string[]) =>
    run('docker', ['compose', '--file', file, '--project-name', 'broad', ...args], { env });
  expect(await compose('up', '--detach')).toSucceed();
  await expect.poll(() => compose('exec', '-T', 'web', 'ping', '-c', '1', '-W', '1', 'db'), SOON).toSucceed();
  expect(Object.keys((await inspected('broad_default')).Containers)).toHaveLength(2);
  expect(await compose('down', '--timeout', '0')).toSucceed();
  expect((await pool.docker(['network', 'inspect', 'broad_default'])).code).not.toBe(0);
});

it('leaves nothing behind', async () => {
  await pool.dockerOk('rm', '--force', 'w1', 'w2', 'w3');
  expect(await pool.dockerOk('network', 'prune', '--force')).toContain('wide');
  await pool.stop();
  const mine = new RegExp(`slipt${pool.registry.split(':')[1]}`, 'i');
  expect(await succeed('ip', ['-brief', 'link'])).not.toMatch(mine);
  expect(await succeed('iptables-save', [])).not.toMatch(mine);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(`${pool.folder}/run/`);
});
