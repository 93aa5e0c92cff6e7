import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run, succeed } from './harness/command.ts';
import { freePorts } from './harness/free-port.ts';
import { startTenantWorkers, type TenantPool } from './harness/tenant-pool.ts';

/** Tenants on two workers: networks over both, and what a gateway has for them. */

const SOON = { timeout: 60_000 };
let pool: TenantPool;
let buildkit: string;
/** One that tenants may have at gateways, and one that they may not. */
let open: number;
let closed: number;

beforeAll(async () => {
  const [port, ...ports] = (await freePorts(3)) as [number, number, number];
  [open, closed] = ports;
  buildkit = `tcp://127.0.0.1:${port}`;
  const policy = `overlays: 2\nmemory: 268435456\ngatewayPorts: ["${open}-${open}"]\n`;
  const env = { SLIPWAY_GATEWAY_BUILDKIT_LISTEN: `[${buildkit}]` };
  pool = await startTenantWorkers(2, { policy, env });
});
afterAll(() => pool?.[Symbol.asyncDispose]());

const start = (tenant: string, worker: number, name: string, ...options: string[]) =>
  pool.dockerOk(
    tenant,
    ...['run', '--detach', '--name', name, '--env', `constraint:worker==worker-${worker}`],
    ...[...options, 'busybox', 'sleep', '3600'],
  );

const exec = (tenant: string, name: string, ...command: string[]) =>
  pool.docker(tenant, 'exec', name, ...command);

const addressOf = (tenant: string, name: string) =>
  pool.dockerOk(tenant, 'inspect', name, '--format', '{{.NetworkSettings.Networks.wide.IPAddress}}');

/** In the network namespace of a worker. */
const inside = (worker: number, command: string, ...args: string[]) =>
  succeed('nsenter', [
    `--net=${join(pool.worker.folder, 'run', `worker-${worker}`, 'netns')}`,
    command,
    ...args,
  ]);

it('gives tenants networks over all workers, of which nobody else knows', async () => {
  for (const tenant of ['a', 'b']) {
    await pool.dockerOk(tenant, 'network', 'create', '--driver', 'overlay', '--attachable', 'wide');
    for (const worker of [1, 2]) await start(tenant, worker, `w${worker}`, '--network', 'wide');
    // By its name, on the other worker.
    await expect
      .poll(async () => (await exec(tenant, 'w1', 'ping', '-c', '1', '-W', '1', 'w2')).code, SOON)
      .toBe(0);
  }
  await start('b', 2, 'secret', '--network', 'wide');
  const [ofA, ofB] = [await addressOf('a', 'w2'), await addressOf('b', 'w2')];
  // The subnets are the pool's, and each is somebody's alone.
  expect(ofA.split('.').slice(0, 3)).not.toEqual(ofB.split('.').slice(0, 3));
  for (const target of [ofB, await addressOf('b', 'secret')]) {
    expect((await exec('a', 'w1', 'ping', '-c', '1', '-W', '1', target)).code).not.toBe(0);
  }
  expect((await exec('a', 'w1', 'nslookup', 'secret')).code).not.toBe(0);
  const theirs = await pool.dockerOk('b', 'network', 'inspect', 'wide', '--format', '{{.Id}}');
  for (const [method, path] of [
    ['GET', `/networks/${theirs}`],
    ['DELETE', `/networks/${theirs}`],
    ['POST', `/networks/${theirs}/connect`],
  ] as const) {
    const body = method === 'POST' ? { Container: 'w1' } : undefined;
    const asked = { method, certificate: 'a', ...(body && { body }) };
    expect((await pool.ask(path, asked)).status).toBe(404);
  }
  const joined = await pool.docker('a', 'run', '--rm', '--network', theirs, 'busybox', 'true');
  expect({ code: joined.code, stderr: joined.stderr }).toMatchObject({
    code: expect.any(Number),
    stderr: expect.stringContaining('not found'),
  });
  expect(await pool.worker.dockerOk('network', 'ls', '--filter', 'driver=overlay', '--quiet')).toBe('');

  const options = ['--opt', 'com.docker.network.driver.overlay.vxlanid_list=4097'];
  const create = (...args: string[]) => pool.docker('a', 'network', 'create', '-d', 'overlay', ...args);
  expect((await create(...options, 'chosen')).stderr).toContain('policy does not allow the network option');
  expect((await create('--subnet', '10.9.0.0/24', 'chosen')).stderr).toContain('policy does not allow');
  expect(await create('second')).toSucceed();
  expect((await create('third')).stderr).toContain('does not allow more than 2 overlay networks');
  expect((await pool.docker('a', 'network', 'rm', 'wide')).stderr).toContain('has active endpoints');
  expect(await pool.dockerOk('a', 'network', 'prune', '--force')).toContain('second');
  expect(await create('third')).toSucceed();
});

it('lets nobody on a tenant’s network send to the tunnels of others', async () => {
  const shown = JSON.parse(await pool.dockerOk('a', 'network', 'inspect', 'wide')) as [
    { Peers: { Name: string; IP: string }[] },
  ];
  const other = shown[0].Peers.find(({ Name }) => Name === 'worker-2')!.IP;
  const own = shown[0].Peers.find(({ Name }) => Name === 'worker-1')!.IP;
  await start('a', 1, 'sender');
  const pid = await pool.dockerOk('a', 'inspect', 'sender', '--format', '{{.State.Pid}}');
  for (const target of [other, own]) {
    await succeed('nsenter', [
      `--net=/proc/${pid}/ns/net`,
      'bash',
      '-c',
      `echo forged >/dev/udp/${target}/4789`,
    ]);
  }
  const counted = await inside(1, 'iptables-save', '--counters', '--table', 'filter');
  for (const chain of ['FORWARD', 'INPUT']) {
    const rule = new RegExp(
      `\\[(\\d+):\\d+\\] -A \\S+-${chain} -i \\S+ -p udp -m udp --dport 4789 -j DROP`,
      'g',
    );
    const packets = [...counted.matchAll(rule)].map((match) => Number(match[1]));
    expect({ chain, dropped: Math.max(0, ...packets) }).toEqual({ chain, dropped: 1 });
  }
});

it('builds by buildx’ remote driver in the engine of the tenant whose certificate is shown', async () => {
  const folder = join(pool.folder, 'context');
  await mkdir(folder, { recursive: true });
  const limit = 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; true';
  await writeFile(join(folder, 'Dockerfile'), `FROM busybox\nRUN ${limit}\nCMD ["true"]\n`);
  const builder = async (tenant: string, name: string, keys: string) => {
    const files = ['cacert=ca', 'cert=cert', 'key=key'].map((pair) => {
      const [option, file] = pair.split('=') as [string, string];
      return `${option}=${join(pool.folder, keys, `${file}.pem`)}`;
    });
    const create = ['buildx', 'create', '--name', name, '--driver', 'remote'];
    return await pool.docker(tenant, ...create, '--driver-opt', files.join(','), buildkit);
  };
  for (const tenant of ['a', 'b']) {
    expect(await builder(tenant, 'remote', tenant)).toSucceed();
    const build = ['buildx', 'build', '--builder', 'remote', '--progress', 'plain', '--no-cache', folder];
    const built = await pool.docker(tenant, ...build);
    expect(built).toSucceed();
    const inspected = await pool.docker(tenant, 'buildx', '--builder', 'remote', 'inspect');
    expect(inspected.stdout).toContain('running');
    // Of a tenant's policy.
    expect(built.stderr).toContain('268435456');
    const listed = await pool.docker(
      tenant,
      'buildx',
      'history',
      'ls',
      '--builder',
      'remote',
      '--format',
      'json',
    );
    expect(listed).toSucceed();
    expect(listed.stdout.trim().split('\n')).toHaveLength(1);
  }
  // A certificate of nobody's, and one that was taken back.
  const strange = join(pool.folder, 'stranger');
  await mkdir(strange);
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-subj', '/O=client/CN=a'];
  const out = ['-keyout', join(strange, 'key.pem'), '-out', join(strange, 'cert.pem')];
  await succeed('openssl', ['req', '-x509', '-nodes', '-days', '1', ...curve, ...out]);
  await succeed('cp', [join(pool.folder, 'a', 'ca.pem'), strange]);
  await pool.slipway(
    'pool',
    'client-create',
    'gone',
    '--for',
    'robot:ci-a',
    '--output',
    join(pool.folder, 'gone'),
  );
  await pool.slipway('pool', 'client-remove', 'gone');
  for (const keys of ['stranger', 'gone']) {
    expect(await builder('a', keys, keys)).toSucceed();
    const asked = ['buildx', '--builder', keys, 'inspect'];
    const { stdout, stderr } = await pool.docker('a', ...asked);
    expect({ keys, shown: stdout + stderr }).toMatchObject({ shown: expect.not.stringContaining('running') });
  }
  const refused = ['gateway', '--set', 'gateway.buildkit.listen=tcp://0.0.0.0:0'];
  const { code, stderr } = await run(join(import.meta.dirname, '../../bin/slipway'), refused, {
    env: pool.env,
  });
  expect({ code, stderr }).toMatchObject({
    code: expect.any(Number),
    stderr: expect.stringContaining('refused without TLS'),
  });
});

it('publishes at gateways what a policy says, and each port once in the pool', async () => {
  const serve = (tenant: string, name: string, worker: number, port: number) => [
    ...['run', '--detach', '--name', name, '--publish', `${port}:80`],
    ...['--env', `constraint:worker==worker-${worker}`, 'busybox', 'sh', '-c'],
    `while true; do echo of ${tenant} | nc -l -p 80; done`,
  ];
  const answer = (port: number) =>
    new Promise<string>((resolve) => {
      let said = '';
      const socket = connect(port, '127.0.0.1').setEncoding('utf8').setTimeout(2_000);
      socket.on('data', (text: string) => {
        said += text;
        socket.destroy();
      });
      socket.on('timeout', () => socket.destroy());
      socket.on('error', () => {});
      socket.on('close', () => resolve(said.trim()));
    });
  const id = await pool.dockerOk('a', ...serve('a', 'served', 1, open));
  await expect.poll(() => answer(open), SOON).toBe('of a');
  const refused = await pool.docker('b', ...serve('b', 'served', 2, open));
  expect(refused.stderr).toContain('port is already allocated');
  expect(refused.stderr).not.toContain(id.slice(0, 12));
  await pool.dockerOk('b', 'rm', '--force', 'served');
  // The worker has it, as every tenant may; the gateway does not.
  await pool.dockerOk('b', ...serve('b', 'inner', 2, closed));
  const target = ['bash', '-c', `cat </dev/tcp/127.0.0.1/${closed}`];
  await expect.poll(() => inside(2, target[0]!, ...target.slice(1)).catch(() => ''), SOON).toContain('of b');
  expect(await answer(closed)).toBe('');
  await pool.dockerOk('a', 'rm', '--force', 'served');
  await pool.dockerOk('b', ...serve('b', 'served', 2, open));
  await expect.poll(() => answer(open), SOON).toBe('of b');

  // What is taken back is closed, and what is allowed opened, though nobody comes.
  const policy = join(pool.folder, 'ports.yaml');
  const allow = async (port: number) => {
    await writeFile(policy, `overlays: 2\nmemory: 268435456\ngatewayPorts: ["${port}"]\n`);
    await pool.slipway('pool', 'tenant-set', 'b', '--policy', policy);
  };
  await allow(closed);
  await expect.poll(() => answer(open), SOON).toBe('');
  await expect.poll(() => answer(closed), SOON).toBe('of b');
  await allow(open);
  await expect.poll(() => answer(open), SOON).toBe('of b');
});

it('gives no container the ports of the tunnels between workers', async () => {
  for (const port of ['4789', '4790']) {
    const publish = ['--publish', `127.0.0.1:${port}:53/udp`];
    const refused = await pool.docker('a', 'run', '--rm', ...publish, 'busybox', 'true');
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain(`:${port} failed: port is already allocated`);
  }
});
