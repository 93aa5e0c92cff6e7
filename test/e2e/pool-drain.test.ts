import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request as send } from 'node:http';
import { join } from 'node:path';
import { json, text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { succeed } from './harness/command.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** What becomes of work under way when a part of the pool is asked to stop. */

const program = fileURLToPath(new URL('../../bin/slipway', import.meta.url));

const PATIENCE = { timeout: 60_000 };

let gateway: Slipway;
let w1: Slipway;
let w2: Slipway;
let clients: Clients;
let poolEnv: NodeJS.ProcessEnv;

async function startWorker(name: string): Promise<Slipway> {
  const token = await succeed(program, ['pool', 'token-create'], { env: poolEnv });
  const worker = await startSlipway({
    command: 'worker',
    args: ['--join', `unix://${join(gateway.folder, 'run', 'pool.sock')}`],
    env: {
      SLIPWAY_WORKER_POOL_TOKEN: token,
      SLIPWAY_WORKER_POOL_NAME: name,
      SLIPWAY_WORKER_POOL_LABELS: `zone=${name}`,
      SLIPWAY_WORKER_POOL_DRAIN_TIMEOUT: '10m',
    },
  });
  await worker.dockerOk('load', '--input', await busyboxArchive());
  return worker;
}

beforeAll(async () => {
  gateway = await startSlipway({ command: 'gateway', env: { SLIPWAY_GATEWAY_DRAIN_TIMEOUT: '10m' } });
  poolEnv = { ...process.env, SLIPWAY_DATA_DIR: gateway.dataDir };
  clients = createClients(`unix://${gateway.socket}`);
  [w1, w2] = await Promise.all([startWorker('w1'), startWorker('w2')]);
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  for (const one of [w1, w2, gateway]) await one?.[Symbol.asyncDispose]();
});

interface ShownJob {
  readonly state: string;
  readonly attempt: number;
  readonly worker?: string;
}

function ask<T>(method: string, path: string, body?: object): Promise<T> {
  return new Promise((resolve, reject) => {
    const target = { socketPath: gateway.socket, path: `/api/v1${path}`, method, agent: false };
    const sent = send(target, (response) => json(response).then((value) => resolve(value as T), reject));
    sent.once('error', reject);
    sent.end(body && JSON.stringify(body));
  });
}

const show = async (id: string) => (await ask<{ jobs: ShownJob[] }>('GET', `/jobs/${id}`)).jobs[0]!;

/** A number of seconds that nothing else on this machine sleeps for. */
let seconds = 100_000_000 + process.pid * 100;
/** Lasts until `release` is called with it. */
const hold = () => `(sleep ${++seconds} || true)`;

/** Ends what holds: that it does is known when it has begun. */
async function release(held: string): Promise<void> {
  const [wanted] = /\d+/.exec(held)!;
  const pids = () =>
    readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid)) return false;
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8') === `sleep\0${wanted}\0`;
      } catch {
        return false;
      }
    });
  await expect.poll(pids, PATIENCE).toHaveLength(1);
  process.kill(Number(pids()[0]), 'SIGKILL');
}

async function submit(script: string, zone: string): Promise<string> {
  const { id } = await ask<{ id: string }>('POST', '/jobs', {
    kind: 'run',
    constraints: { labels: { zone } },
    run: { image: 'busybox', command: ['sh', '-c', script], network: 'none' },
  });
  return id;
}

async function submitBegun(script: string, zone: string): Promise<string> {
  const id = await submit(script, zone);
  await expect.poll(async () => (await show(id)).state, PATIENCE).toBe('running');
  return id;
}

/** A build through the gateway, once its step has begun. */
async function beginBuild(name: string, held: string) {
  const folder = join(gateway.folder, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), `FROM busybox\nRUN echo be''gun ${name} && ${held}\n`);
  let printed = '';
  const onOutput = (more: string) => {
    printed += more;
  };
  const done = clients.buildx(['build', '--progress', 'plain', folder], { onOutput });
  await expect.poll(() => printed, PATIENCE).toContain(`begun ${name}`);
  return { done };
}

const command = (...args: string[]) => succeed(program, args, { env: poolEnv });

it('finishes the jobs of a worker that is drained, and gives it new ones when it is resumed', async () => {
  const held = hold();
  const under = await submitBegun(`${held}; echo done`, 'w1');
  await command('worker', 'drain', 'w1');
  const later = await submit('echo later', 'w1');
  const elsewhere = await submit('echo elsewhere', 'w2');
  await expect.poll(async () => (await show(elsewhere)).state, PATIENCE).toBe('succeeded');
  await release(held);
  await expect.poll(async () => (await show(under)).state, PATIENCE).toBe('succeeded');
  expect(await show(under)).toMatchObject({ attempt: 1 });
  expect((await show(later)).state).toBe('queued');
  await command('worker', 'resume', 'w1');
  await expect.poll(async () => (await show(later)).state, PATIENCE).toBe('succeeded');
});

it('lets a worker that is asked to stop finish jobs and builds, and leaves its containers as they are', async () => {
  await command('worker', 'drain', 'w2');
  const [heldJob, heldBuild] = [hold(), hold()];
  const job = await submitBegun(`${heldJob}; echo done`, 'w1');
  const building = await beginBuild('stopping', heldBuild);
  const container = ['run', '--detach', '--name', 'stays', '-e', 'constraint:worker==w1'];
  await gateway.dockerOk(...container, 'busybox', 'sleep', '100000');
  const format = ['--format', '{{.State.Status}} {{.State.Pid}} {{.State.StartedAt}}'];
  const before = await gateway.dockerOk('inspect', ...format, 'stays');
  await command('worker', 'resume', 'w2');

  const stopped = w1.stop('SIGTERM');
  await expect.poll(() => w1.output, PATIENCE).toContain('waiting for what is under way');
  await expect.poll(() => command('pool', 'worker-list'), PATIENCE).toMatch(/^w1 +draining/m);
  // It takes nothing new, and what it has goes on meanwhile.
  const elsewhere = await submit('echo elsewhere', 'w2');
  await expect.poll(async () => (await show(elsewhere)).state, PATIENCE).toBe('succeeded');
  expect(await show(job)).toMatchObject({ state: 'running', attempt: 1 });
  await release(heldJob);
  await expect.poll(async () => (await show(job)).state, PATIENCE).toBe('succeeded');
  await release(heldBuild);
  expect(await building.done).toSucceed();
  expect(await stopped).toBe(0);
  expect(await show(job)).toMatchObject({ state: 'succeeded', attempt: 1 });
  expect(w1.output).not.toContain('not waiting any longer');

  await w1.start();
  await expect
    .poll(async () => (await gateway.docker(['inspect', ...format, 'stays'])).stdout.trim(), PATIENCE)
    .toBe(before);
  await gateway.dockerOk('rm', '--force', 'stays');
});

it('lets what passes through a gateway that is asked to stop come to its end, and nobody new in', async () => {
  const held = hold();
  const building = await beginBuild('passing', held);
  const attached = spawn('docker', ['run', '--rm', '--interactive', 'busybox', 'cat'], {
    env: gateway.clientEnv,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(attached, 'exit');
  const said = text(attached.stdout);
  attached.stdin.write('before\n');
  await once(attached.stdout, 'readable');

  const stopped = gateway.stop('SIGTERM');
  await expect.poll(() => gateway.output, PATIENCE).toContain('waiting for what passes through');
  await expect.poll(async () => (await gateway.docker(['version'])).code, PATIENCE).not.toBe(0);
  attached.stdin.end('after\n');
  expect(await ended).toEqual([0, null]);
  expect(await said).toBe('before\nafter\n');
  await release(held);
  expect(await building.done).toSucceed();
  expect(await stopped).toBe(0);
  expect(gateway.output).not.toContain('not waiting any longer');
});
