import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { run, succeed } from './harness/command.ts';
import { freePorts } from './harness/free-port.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** Builds of a pool whose workers do one at a time. */

const program = fileURLToPath(new URL('../../bin/slipway', import.meta.url));

let pool: Slipway;
let clients: Clients;
let monitoring: string;
let buildkit: string;
let poolEnv: NodeJS.ProcessEnv;
let own: string;

beforeAll(async () => {
  const [port] = await freePorts(1);
  own = mkdtempSync(join(tmpdir(), 'slipway-'));
  buildkit = `unix://${join(own, 'buildkit.sock')}`;
  monitoring = `http://127.0.0.1:${port}`;
  const env = {
    SLIPWAY_WORKER_NETWORK_ADDRESS_POOLS: '[{ base: 10.218.0.0/16, size: 24 }]',
    SLIPWAY_WORKER_BUILD_MAX_CONCURRENT: '1',
    SLIPWAY_GATEWAY_MONITORING_LISTEN: `127.0.0.1:${port}`,
    SLIPWAY_GATEWAY_BUILDKIT_LISTEN: `[${buildkit}]`,
  };
  pool = await startSlipway({ args: ['--workers', '2'], env });
  poolEnv = { ...process.env, SLIPWAY_DATA_DIR: pool.dataDir };
  clients = createClients(`unix://${pool.socket}`);
  await pool.dockerOk('load', '--input', await busyboxArchive());
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await pool?.[Symbol.asyncDispose]();
  rmSync(own, { recursive: true, force: true });
});

/** A build that lasts until somebody lets it end, on its own context. */
function context(name: string, step: string): string {
  const folder = join(pool.folder, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), `FROM busybox\nRUN echo ${name} && ${step}\n`);
  return folder;
}

/** What a gateway has read of its workers it goes by for a quarter of a second. */
const KNOWN_FOR = 300;
const HOLD = 'sleep 1000';

/** What a command has printed so far. */
class Printed {
  text = '';
  readonly onOutput = (text: string) => {
    this.text += text;
  };
}

const metric = async (series: string) => {
  const lines = (await (await fetch(`${monitoring}/metrics`)).text()).split('\n');
  return Number(lines.find((line) => line.startsWith(`${series} `))?.slice(series.length + 1) ?? 0);
};

/** Builds until it is told to stop; resolves once it has a worker. */
async function occupy(name: string): Promise<AsyncDisposable & { stop(): Promise<void> }> {
  const stopping = new AbortController();
  const before = await metric('slipway_pool_under_way{kind="build"}');
  const done = clients.buildx(['build', context(name, HOLD)], { signal: stopping.signal });
  await expect
    .poll(() => metric('slipway_pool_under_way{kind="build"}'), { timeout: 60_000 })
    .toBe(before + 1);
  const stop = async () => {
    stopping.abort();
    await done.catch(() => undefined);
  };
  return { stop, [Symbol.asyncDispose]: stop };
}

it('shows builds their place in line, lets them go, and begins when there is room', async () => {
  await using one = await occupy('one');
  await using two = await occupy('two');
  const [told, toldClassic] = [new Printed(), new Printed()];
  const waiting = clients.buildx(['build', '--progress', 'plain', context('three', 'true')], told);
  await expect.poll(() => told.text, { timeout: 60_000 }).toContain('waiting for a worker (position 1)');
  const classic = run('docker', ['build', context('four', 'true')], { env: pool.clientEnv, ...toldClassic });
  await expect
    .poll(() => toldClassic.text, { timeout: 60_000 })
    .toContain('waiting for a worker (position 2)');
  // Who leaves does not hold up the others.
  const leaving = new AbortController();
  const left = clients.buildx(['build', context('five', 'true')], { signal: leaving.signal });
  await expect.poll(() => metric('slipway_pool_queue_depth{kind="build"}'), { timeout: 60_000 }).toBe(3);
  leaving.abort();
  await left.catch(() => undefined);
  await expect.poll(() => metric('slipway_pool_queue_depth{kind="build"}'), { timeout: 60_000 }).toBe(2);
  await one.stop();
  expect(await waiting).toSucceed();
  await two.stop();
  expect(await classic).toSucceed();
  expect(await metric('slipway_pool_build_wait_seconds_count')).toBeGreaterThan(3);
  await expect.poll(() => metric('slipway_pool_under_way{kind="build"}'), { timeout: 60_000 }).toBe(0);
});

it('speaks BuildKit’s own API', async () => {
  const folder = context('remote', 'echo it is');
  const options = [
    '--frontend',
    'dockerfile.v0',
    '--local',
    `context=${folder}`,
    '--local',
    `dockerfile=${folder}`,
  ];
  const built = await clients.buildctl(buildkit, ['build', '--progress', 'plain', ...options]);
  expect(built).toSucceed();
  expect(built.stderr).toContain('it is');
});

it('builds on images that another worker has', async () => {
  const base = context('base', 'echo base > /base');
  await pool.dockerOk('build', '--tag', 'own-base', base);
  await using busy = await occupy('busy');
  const folder = join(pool.folder, 'upon');
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), 'FROM own-base\nRUN cat /base\n');
  const built = ['worker-1', 'worker-2'].map(async (worker) => {
    using direct = createClients(`unix://${join(pool.folder, 'run', worker, 'docker.sock')}`);
    return await direct.buildx(['build', '--progress', 'plain', folder]);
  });
  // The one of them that is busy goes on with it when it no longer is.
  await busy.stop();
  for (const one of await Promise.all(built)) expect(one).toSucceed();
});

it('gives a worker that is drained nothing new, and lets it finish', async () => {
  const command = (...args: string[]) => succeed(program, args, { env: poolEnv });
  const place = async (name: string) => {
    await pool.dockerOk('run', '--detach', '--name', name, 'busybox', 'sleep', '1000');
  };
  for (const name of ['d1', 'd2']) await place(name);
  expect(await command('worker', 'drain', 'worker-1')).toContain('gets nothing new');
  expect(await command('pool', 'worker-list')).toMatch(/^worker-1 +draining/m);
  await expect.poll(() => metric('slipway_pool_workers{state="draining"}'), { timeout: 60_000 }).toBe(1);
  await sleep(KNOWN_FOR);
  for (const name of ['d3', 'd4', 'd5']) await place(name);
  const at = async (worker: string) => {
    const env = {
      ...pool.clientEnv,
      DOCKER_HOST: `unix://${join(pool.folder, 'run', worker, 'docker.sock')}`,
    };
    return (await succeed('docker', ['ps', '--format', '{{.Names}}'], { env })).split('\n').toSorted();
  };
  // What it had goes on, and is there as before.
  expect(await at('worker-1')).toHaveLength(1);
  expect(await at('worker-2')).toHaveLength(4);
  for (const name of ['d1', 'd2']) expect(await pool.dockerOk('exec', name, 'echo', 'here')).toBe('here');
  await command('worker', 'resume', 'worker-1');
  await sleep(KNOWN_FOR);
  await place('d6');
  expect(await at('worker-1')).toContain('d6');
  expect((await run(program, ['worker', 'drain', 'nobody'], { env: poolEnv })).stderr).toContain(
    "there is no worker 'nobody'",
  );
  await pool.dockerOk('rm', '--force', 'd1', 'd2', 'd3', 'd4', 'd5', 'd6');
});

it('says what it counts, and whether it is well', async () => {
  expect((await fetch(`${monitoring}/healthz`)).status).toBe(200);
  expect(await (await fetch(`${monitoring}/readyz`)).json()).toEqual({
    ready: true,
    checks: { database: 'ok' },
  });
  expect(await metric('slipway_pool_placements_total{reason="image"}')).toBeGreaterThan(0);
  const text = await (await fetch(`${monitoring}/metrics`)).text();
  expect(text).toMatch(/slipway_http_request_duration_seconds_count\{route="\/containers\/create"/);
});
