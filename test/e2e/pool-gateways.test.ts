import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PostgresServer } from '../database/postgres-server.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { run, succeed } from './harness/command.ts';
import { freePorts } from './harness/free-port.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';
import { wrongClock } from './harness/wrong-clock.ts';

const program = fileURLToPath(new URL('../../bin/slipway', import.meta.url));

let postgres: PostgresServer;
let shared: Record<string, string>;
let join1: string;
let gateways: [Slipway, Slipway];
let workers: [Slipway, Slipway];

const token = () => succeed(program, ['pool', 'token-create'], { env: { ...process.env, ...shared } });

/** A worker that gateways reach by TLS. */
async function startWorker(name: string, url: string, env: Record<string, string> = {}): Promise<Slipway> {
  return await startSlipway({
    command: 'worker',
    args: ['--join', url],
    env: {
      SLIPWAY_WORKER_POOL_TOKEN: await token(),
      SLIPWAY_WORKER_POOL_NAME: name,
      SLIPWAY_WORKER_POOL_LISTEN: 'tcp://127.0.0.1:0',
      SLIPWAY_WORKER_POOL_LABELS: `zone=${name}`,
      ...env,
    },
  });
}

beforeAll(async () => {
  postgres = await PostgresServer.start();
  shared = {
    SLIPWAY_POOL_DATABASE_DRIVER: 'postgres',
    SLIPWAY_POOL_DATABASE_POSTGRES_URL: await postgres.createDatabase(),
    SLIPWAY_POOL_LEASE: '8s',
  };
  const ports = await freePorts(2);
  const urls = ports.map((port) => `https://127.0.0.1:${port}`) as [string, string];
  const [one, two] = await Promise.all(
    ports.map((port) =>
      startSlipway({
        command: 'gateway',
        env: { ...shared, SLIPWAY_GATEWAY_WORKERS_LISTEN: `tcp://127.0.0.1:${port}` },
      }),
    ),
  );
  gateways = [one!, two!];
  join1 = urls[0];
  const behind = wrongClock(-600_000);
  workers = [await startWorker('w1', urls[0]), await startWorker('w2', urls[1], behind)];
  await gateways[0].dockerOk('load', '--input', await busyboxArchive());
});
afterAll(async () => {
  // They have the containers, which gateways would only show.
  for (const worker of workers ?? []) await worker[Symbol.asyncDispose]();
  for (const gateway of gateways ?? []) await gateway[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

const listed = async (gateway: Slipway) =>
  (await gateway.dockerOk('ps', '--format', '{{.Names}}')).split('\n').filter(Boolean).toSorted();

it('is the same host at each gateway, over TLS', async () => {
  const [one, two] = gateways;
  await one.dockerOk(
    'run',
    '--detach',
    '--name',
    'aa',
    '--env',
    'constraint:zone==w1',
    'busybox',
    'sleep',
    '1000',
  );
  await two.dockerOk(
    'run',
    '--detach',
    '--name',
    'bb',
    '--env',
    'constraint:zone==w2',
    'busybox',
    'sleep',
    '1000',
  );
  expect(await workers[0].dockerOk('ps', '--format', '{{.Names}}')).toBe('aa');
  expect(await workers[1].dockerOk('ps', '--format', '{{.Names}}')).toBe('bb');
  for (const gateway of gateways) {
    expect(await listed(gateway)).toEqual(['aa', 'bb']);
    for (const name of ['aa', 'bb']) expect(await gateway.dockerOk('exec', name, 'echo', 'hi')).toBe('hi');
  }
  const created = await Promise.all(
    [one, two, one, two].map((gateway) => gateway.docker(['create', '--name', 'same', 'busybox', 'true'])),
  );
  expect(created.filter(({ code }) => code === 0)).toHaveLength(1);
  await two.dockerOk('rm', 'same');
  const input = 'x'.repeat(2_000_000);
  const piped = await two.docker(['exec', '--interactive', 'aa', 'cat'], { input });
  expect(piped.stdout === input).toBe(true);
});

it('tells by one clock what comes from several workers, one of which is ten minutes behind', async () => {
  const [gateway] = gateways;
  const began = Date.now();
  const names = ['1st', '2nd', '3rd', '4th'];
  for (const [at, name] of names.entries()) {
    const zone = `constraint:zone==w${(at % 2) + 1}`;
    await gateway.dockerOk('create', '--name', name, '--env', zone, '--label', 'clock', 'busybox');
    // Their times are of different clocks: so far apart, nobody can be mistaken.
    await sleep(1500);
  }
  const newest = ['ps', '--all', '--filter', 'label=clock', '--format', '{{.Names}}'];
  expect(await gateway.dockerOk(...newest)).toBe(names.toReversed().join('\n'));
  const [since, until] = [began - 1000, Date.now()].map((time) => String(time / 1000));
  const format = ['--format', '{{.TimeNano}} {{.Actor.Attributes.name}}'];
  const told = await gateway.dockerOk(
    'events',
    '--since',
    since!,
    '--until',
    until!,
    '--filter',
    'event=create',
    '--filter',
    'label=clock',
    ...format,
  );
  const events = told.split('\n').map((line) => line.split(' ') as [string, string]);
  expect(events.map(([, name]) => name)).toEqual(names);
  for (const [time] of events) expect(Math.abs(Number(time) / 1e6 - began)).toBeLessThan(120_000);
  await gateway.dockerOk('rm', ...names);
});

it('lets nobody in by a token that was used', async () => {
  const used = await token();
  const options = (name: string) => ({
    command: 'worker' as const,
    args: ['--join', join1],
    env: { SLIPWAY_WORKER_POOL_TOKEN: used, SLIPWAY_WORKER_POOL_NAME: name },
  });
  const env = { ...process.env, ...shared };
  const shown = () => succeed(program, ['pool', 'worker-list'], { env });
  await using _third = await startSlipway(options('w3'));
  await expect(startSlipway(options('w4'))).rejects.toThrow('the join token was used already');
  expect(await shown()).toMatch(/^w3 +ready/m);
  await succeed(program, ['pool', 'worker-remove', 'w3'], { env });
  await expect.poll(shown, { timeout: 60_000 }).toMatch(/^w3 +lost/m);
});

it('answers no one at a worker’s port who is no gateway', async () => {
  const env = { ...process.env, ...shared };
  const address = /^w1 +ready +tcp:\/\/(\S+)/m.exec(
    await succeed(program, ['pool', 'worker-list'], { env }),
  )![1]!;
  const identity = join(workers[1].dataDir, 'worker', 'pool');
  const ping = (...args: string[]) => run('curl', ['-sS', '-m', '10', ...args, `https://${address}/_ping`]);
  expect((await ping('-k')).code).not.toBe(0);
  const asWorker = ['--cert', join(identity, 'certificate.pem'), '--key', join(identity, 'key.pem')];
  const answered = await ping('-k', ...asWorker);
  expect({ code: answered.code, stdout: answered.stdout }).not.toMatchObject({ stdout: 'OK' });
  expect(answered.code).not.toBe(0);
});

it('goes on without a gateway that stops, and without a worker that does not answer', async () => {
  const [one, two] = gateways;
  const [frozen] = workers;
  process.kill(frozen.pid, 'SIGSTOP');
  try {
    await expect.poll(() => listed(two), { timeout: 60_000 }).toEqual(['bb']);
    expect((await two.docker(['exec', 'aa', 'true'])).stderr).toContain('worker w1, which has it, is away');
    expect((await two.docker(['create', '--name', 'aa', 'busybox'])).stderr).toContain('already in use');
  } finally {
    process.kill(frozen.pid, 'SIGCONT');
  }
  await expect.poll(() => listed(two), { timeout: 60_000 }).toEqual(['aa', 'bb']);
  await one.stop();
  await expect.poll(() => listed(two), { timeout: 60_000 }).toContain('bb');
  expect(await two.dockerOk('exec', 'bb', 'echo', 'still here')).toBe('still here');
  await one.start();
  await expect.poll(() => listed(one), { timeout: 60_000 }).toEqual(['aa', 'bb']);
});
