import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request as send } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GitServer } from '../contracts/build/git-server.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { run } from './harness/command.ts';
import { isRunning } from './harness/process.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

const program = fileURLToPath(new URL('../../bin/slipway', import.meta.url));

interface ShownJob {
  readonly id: string;
  readonly state: string;
  readonly name: string;
  readonly attempt: number;
  readonly error?: string;
  readonly result: Record<string, unknown> | null;
}

let slipway: Slipway;
let git: GitServer;
let files = 0;

beforeAll(async () => {
  slipway = await startSlipway({
    env: {
      SLIPWAY_POOL_LEASE: '4s',
      SLIPWAY_POOL_JOBS_SLOTS: '2',
      SLIPWAY_REGISTRY_WEBHOOKS_ALLOWED_NETWORKS: '[127.0.0.0/8]',
    },
  });
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  git = await GitServer.open(join(slipway.folder, 'git'));
  await git.create('app.git');
  await git.commit('app.git', {
    Dockerfile:
      'FROM busybox\nARG GREETING=hello\nRUN echo "$GREETING of git" > /greeting\nCMD ["cat", "/greeting"]\n',
  });
});
afterAll(async () => {
  await git?.[Symbol.asyncDispose]();
  await slipway?.[Symbol.asyncDispose]();
});

function job(...args: string[]) {
  return run(program, ['job', ...args], { env: { ...slipway.clientEnv, PATH: process.env.PATH } });
}

/** A file that says what is asked for. */
function request(value: object): string {
  const file = join(slipway.folder, `job-${files++}.json`);
  writeFileSync(file, JSON.stringify(value));
  return file;
}

async function submit(value: object): Promise<string> {
  const { id } = await ask<{ id: string }>('POST', '/jobs', value);
  return id;
}

async function show(id: string): Promise<ShownJob[]> {
  return (await ask<{ jobs: ShownJob[] }>('GET', `/jobs/${id}`)).jobs;
}

function ask<T>(method: string, path: string, body?: object): Promise<T> {
  return new Promise((resolve, reject) => {
    const target = { socketPath: slipway.socket, path: `/api/v1${path}`, method, agent: false };
    const sent = send(target, (response) => {
      json(response).then((value) => resolve(value as T), reject);
    });
    sent.once('error', reject);
    sent.end(body && JSON.stringify(body));
  });
}

/** The same server at a port of the loopback. */
async function tcpTo(socket: string): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = createServer((client) => {
    const there = connect(socket);
    for (const end of [client, there]) end.on('error', () => {});
    client.pipe(there).pipe(client);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
}

/** Waits until all of a job or pipeline is over, or one is in `state`. */
async function until(id: string, condition: (jobs: readonly ShownJob[]) => boolean): Promise<ShownJob[]> {
  for (;;) {
    const jobs = await show(id);
    if (condition(jobs)) return jobs;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const over = (jobs: readonly ShownJob[]) =>
  jobs.every(({ state }) => ['succeeded', 'failed', 'canceled', 'skipped'].includes(state));

describe('slipway job', () => {
  it('builds from git and gives the image its tags', async () => {
    const tag = `${slipway.registry}/team/app:1`;
    const file = request({
      kind: 'build',
      build: { context: { url: `${git.url('app.git')}#main` }, args: { GREETING: 'welcome' }, tags: [tag] },
    });
    const { code, stdout, stderr } = await job('submit', '--follow', file);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/RUN echo "welcome of git"/);
    expect(await slipway.dockerOk('run', '--rm', '--pull', 'always', '--quiet', tag)).toBe('welcome of git');
  });

  it('builds what it is sent', async () => {
    const context = join(slipway.folder, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), 'FROM busybox\nCOPY file /file\nCMD ["cat", "/file"]\n');
    writeFileSync(join(context, 'file'), 'sent');
    const tag = `${slipway.registry}/team/sent:1`;
    const file = request({ kind: 'build', build: { context: { url: 'of the directory' }, tags: [tag] } });
    const { code, stderr } = await job('submit', '--follow', '--context', context, file);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(await slipway.dockerOk('run', '--rm', '--pull', 'always', '--quiet', tag)).toBe('sent');
  });

  it('runs an image, and keeps what it leaves as an artifact', async () => {
    const name = `${slipway.registry}/team/report:1`;
    const file = request({
      kind: 'run',
      run: {
        image: 'busybox',
        command: ['sh', '-c', 'echo "to $WHOM" && mkdir /out && echo data > /out/report'],
        env: { WHOM: 'everyone' },
        artifacts: [{ path: '/out', name }],
      },
    });
    const { code, stdout, stderr } = await job('submit', '--follow', file);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'to everyone\n', stderr: '' });
    const answer = await fetch(`http://${slipway.registry}/v2/team/report/manifests/1`, {
      headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
    });
    const manifest = (await answer.json()) as { artifactType: string; layers: { digest: string }[] };
    expect(manifest.artifactType).toBe('application/vnd.slipway.job.artifact.v1');
    const blob = await fetch(`http://${slipway.registry}/v2/team/report/blobs/${manifest.layers[0]!.digest}`);
    const listed = await run('tar', ['-xzOf', '-', 'out/report'], {
      input: Buffer.from(await blob.arrayBuffer()),
    });
    expect(listed.stdout).toBe('data\n');
  });

  it('says how a run failed, and does it again when asked', async () => {
    const file = request({
      kind: 'run',
      run: { image: 'busybox', command: ['sh', '-c', 'echo no; exit 7'] },
    });
    const failed = await job('submit', '--follow', file);
    expect(failed).toMatchObject({ code: 7, stdout: 'no\n' });
    const [id] = /[0-9a-f-]{36}/.exec(failed.stderr)!;
    expect(failed.stderr).toContain(`job ${id} failed: exit code 7`);
    expect(await job('retry', id)).toSucceed();
    const [again] = await until(id, over);
    expect(again).toMatchObject({ state: 'failed', attempt: 2, result: { exitCode: 7 } });
    expect((await job('logs', id)).stdout).toBe('no\n[attempt 2]\nno\n');
  });

  it('does a pipeline in its order, and leaves out what follows a failure', async () => {
    const tag = `${slipway.registry}/team/piped:1`;
    const runs = (image: string, script: string, needs: string[]) => ({
      kind: 'run',
      needs,
      run: { image, command: ['sh', '-c', script] },
    });
    const id = await submit({
      kind: 'pipeline',
      jobs: {
        publish: runs('busybox', 'true', ['broken']),
        broken: runs('busybox', 'false', ['test']),
        test: runs(tag, 'cat /greeting', ['build']),
        build: { kind: 'build', build: { context: { url: `${git.url('app.git')}#main` }, tags: [tag] } },
      },
    });
    const jobs = await until(id, over);
    expect(Object.fromEntries(jobs.map(({ name, state }) => [name, state]))).toEqual({
      build: 'succeeded',
      test: 'succeeded',
      broken: 'failed',
      publish: 'skipped',
    });
    const test = jobs.find(({ name }) => name === 'test')!;
    expect((await job('logs', test.id)).stdout).toBe('hello of git\n');
  });

  it('ends what is canceled, and forgets it', async () => {
    const id = await submit({
      kind: 'run',
      run: { image: 'busybox', command: ['sh', '-c', 'trap "exit 0" TERM; echo begun; sleep 1000 & wait'] },
    });
    await until(id, ([it]) => it!.state === 'running');
    for (; !(await job('logs', id)).stdout.includes('begun'); );
    expect((await job('remove', id)).stderr).toContain('is not over: running');
    expect(await job('cancel', id)).toSucceed();
    expect(await until(id, over)).toMatchObject([{ state: 'canceled', attempt: 1 }]);
    expect(await slipway.dockerOk('ps', '--all', '--quiet', '--filter', 'label=io.slipway.job')).toBe('');
    expect(await job('remove', id)).toSucceed();
    expect((await job('show', id)).stderr).toContain('no such job');
  });

  it('begins when an image was pushed to the registry', async () => {
    const file = request({
      source: { kind: 'registry', images: ['team/pushed:*'] },
      job: {
        kind: 'run',
        run: { image: `${slipway.registry}/{{repository}}@{{digest}}`, command: ['echo', '{{tag}}'] },
      },
    });
    const env = { ...slipway.clientEnv, PATH: process.env.PATH };
    const put = await run(program, ['trigger', 'put', 'pushed', file], { env });
    expect(put).toSucceed();
    const [path, secret] = [/events to: (\S+)/, /secret: (\S+)/].map((shown) => shown.exec(put.stdout)![1]!);
    await using there = await tcpTo(slipway.socket);
    const made = await fetch(`http://${slipway.registry}/api/v1/webhooks`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ url: `${there.url}${path}`, secret, format: 'cloudevents' }),
    });
    expect(made.status).toBe(201);
    for (const name of ['team/other:1', 'team/pushed:v1']) {
      await slipway.dockerOk('tag', 'busybox', `${slipway.registry}/${name}`);
      await slipway.dockerOk('push', '--quiet', `${slipway.registry}/${name}`);
    }
    const begun = async () => (await ask<{ lastJob?: string }>('GET', '/triggers/pushed')).lastJob;
    await expect.poll(begun).toEqual(expect.any(String));
    const id = (await begun())!;
    expect(await until(id, over)).toMatchObject([{ state: 'succeeded' }]);
    expect((await job('logs', id)).stdout).toBe('v1\n');
    expect(await run(program, ['trigger', 'remove', 'pushed'], { env })).toSucceed();
  });

  it('is done once, whatever happens to its worker', async () => {
    const tag = `${slipway.registry}/team/survivor:1`;
    const script = 'echo "$(cat /proc/uptime)"; sleep 4; mkdir /out; echo done > /out/it';
    const id = await submit({
      kind: 'run',
      run: { image: 'busybox', command: ['sh', '-c', script], artifacts: [{ path: '/out', name: tag }] },
    });
    await until(id, ([it]) => it!.state === 'running');
    const pid = slipway.rolePid('worker');
    process.kill(pid, 'SIGKILL');
    while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
    await slipway.ready();
    const [survivor] = await until(id, (jobs) => over(jobs));
    expect(survivor).toMatchObject({ state: 'succeeded', attempt: 2 });
    const answer = await fetch(`http://${slipway.registry}/v2/team/survivor/tags/list`);
    expect(await answer.json()).toMatchObject({ tags: ['1'] });
    expect(await slipway.dockerOk('ps', '--all', '--quiet', '--filter', 'label=io.slipway.job')).toBe('');
  });
});
