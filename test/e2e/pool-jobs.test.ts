import { request as send } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GitServer } from '../contracts/build/git-server.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { isRunning } from './harness/process.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

const WORKERS = ['worker-1', 'worker-2'] as const;

interface ShownJob {
  readonly id: string;
  readonly state: string;
  readonly attempt: number;
  readonly worker?: string;
  readonly error?: string;
}

const SUBNET = `10.253.${process.pid % 256}`;

let pool: Slipway;
let git: GitServer;
let busybox: string;

beforeAll(async () => {
  pool = await startSlipway({
    args: ['--workers', String(WORKERS.length)],
    env: {
      SLIPWAY_WORKER_NETWORK_ADDRESS_POOLS: '[{ base: 10.218.0.0/16, size: 24 }]',
      SLIPWAY_POOL_LEASE: '4s',
      SLIPWAY_POOL_JOBS_SLOTS: '2',
      SLIPWAY_POOL_NAMESPACES: `${SUBNET}.0/24`,
    },
  });
  busybox = `${pool.registry}/library/busybox:1`;
  await pool.dockerOk('load', '--input', await busyboxArchive());
  await pool.dockerOk('tag', 'busybox', busybox);
  await pool.dockerOk('push', '--quiet', busybox);
  // Where workers, each in a namespace of its own, reach this machine.
  git = await GitServer.open(join(pool.folder, 'git'), `${SUBNET}.1`);
  await git.create('app.git');
  await git.commit('app.git', { Dockerfile: `FROM ${busybox}\nRUN echo built > /it\nCMD ["cat", "/it"]\n` });
});
afterAll(async () => {
  await git?.[Symbol.asyncDispose]();
  await pool?.[Symbol.asyncDispose]();
});

function ask<T>(method: string, path: string, body?: object): Promise<T> {
  return new Promise((resolve, reject) => {
    const target = { socketPath: pool.socket, path: `/api/v1${path}`, method, agent: false };
    const sent = send(target, (response) => {
      json(response).then((value) => resolve(value as T), reject);
    });
    sent.once('error', reject);
    sent.end(body && JSON.stringify(body));
  });
}

async function submit(value: object): Promise<string> {
  return (await ask<{ id: string }>('POST', '/jobs', value)).id;
}

async function until(id: string, condition: (job: ShownJob) => boolean): Promise<ShownJob> {
  for (;;) {
    const [job] = (await ask<{ jobs: ShownJob[] }>('GET', `/jobs/${id}`)).jobs;
    if (condition(job!)) return job!;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const over = ({ state }: ShownJob) => ['succeeded', 'failed', 'canceled', 'skipped'].includes(state);

function runs(script: string, more: object = {}) {
  return { kind: 'run', run: { image: busybox, command: ['sh', '-c', script], ...more } };
}

it('has its jobs done by all of its workers', async () => {
  const ids = await Promise.all(
    [1, 2, 3, 4].map(() => submit(runs('trap "exit 0" TERM; sleep 1000 & wait'))),
  );
  const running = await Promise.all(ids.map((id) => until(id, ({ state }) => state === 'running')));
  expect(new Set(running.map(({ worker }) => worker)).size).toBe(2);
  for (const id of ids) await ask('POST', `/jobs/${id}/cancel`).catch(() => undefined);
  for (const id of ids) expect(await until(id, over)).toMatchObject({ state: 'canceled', attempt: 1 });
});

it('builds from git on one of them', async () => {
  const tag = `${pool.registry}/team/app:1`;
  const id = await submit({
    kind: 'build',
    build: { context: { url: `${git.url('app.git')}#main` }, tags: [tag] },
  });
  expect(await until(id, over)).toMatchObject({ state: 'succeeded' });
  expect(await pool.dockerOk('run', '--rm', '--pull', 'always', '--quiet', tag)).toBe('built');
});

it('has a job done by another worker when one is killed, and once', async () => {
  const name = `${pool.registry}/team/report:1`;
  const script = 'sleep 5; mkdir /out; echo done > /out/it';
  const id = await submit(runs(script, { artifacts: [{ path: '/out', name }] }));
  await until(id, ({ state }) => state === 'running');
  const pids = WORKERS.map((worker) => pool.rolePid(`${worker}/worker`));
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  for (const pid of pids) while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await until(id, over)).toMatchObject({ state: 'succeeded', attempt: 2 });
  const answer = await fetch(`http://${pool.registry}/v2/team/report/tags/list`);
  expect(await answer.json()).toMatchObject({ tags: ['1'] });
});
