import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { succeed } from './harness/command.ts';
import { startTenantPool, type TenantPool } from './harness/tenant-pool.ts';

const IMAGE = 'registry.example/busybox:1';
const program = fileURLToPath(new URL('../../bin/slipway', import.meta.url));

let pool: TenantPool;

beforeAll(async () => {
  pool = await startTenantPool();
  for (const tenant of ['a', 'b']) await pool.dockerOk(tenant, 'tag', 'busybox', IMAGE);
});
afterAll(() => pool?.[Symbol.asyncDispose]());

async function asked(tenant: string, method: string, path: string, body?: unknown) {
  const { status, text } = await pool.ask(`/api/v1${path}`, { method, certificate: tenant, body });
  return { status, text, json: text.startsWith('{') ? JSON.parse(text) : undefined };
}

const runs = (command: string) => ({ kind: 'run', run: { image: IMAGE, command: ['sh', '-c', command] } });

async function submit(tenant: string, body: object): Promise<string> {
  const { status, text, json } = await asked(tenant, 'POST', '/jobs', body);
  expect({ status, text }).toMatchObject({ status: 201 });
  return json.id;
}

async function jobOf(tenant: string, id: string): Promise<Record<string, unknown>> {
  return (await asked(tenant, 'GET', `/jobs/${id}`)).json.jobs[0];
}

const succeeds = (tenant: string, id: string) =>
  expect.poll(() => jobOf(tenant, id), { timeout: 60_000 }).toMatchObject({ state: 'succeeded', tenant });

async function cancel(tenant: string, id: string): Promise<void> {
  expect((await asked(tenant, 'POST', `/jobs/${id}/cancel`)).status).toBe(204);
  await expect.poll(() => jobOf(tenant, id), { timeout: 60_000 }).toMatchObject({ state: 'canceled' });
}

/** A file that says what is to be done. */
async function jobFile(job: object): Promise<string> {
  const file = join(pool.folder, 'job.json');
  await writeFile(file, JSON.stringify(job));
  return file;
}

/** An archive that a tenant has sent, to be built. */
async function sentContext(tenant: string): Promise<string> {
  const context = join(pool.folder, 'context');
  await mkdir(context, { recursive: true });
  await writeFile(join(context, 'Dockerfile'), 'FROM scratch\nCOPY secret /\n');
  await writeFile(join(context, 'secret'), `of ${tenant}\n`);
  const archive = join(pool.folder, 'context.tar');
  await succeed('tar', ['-cf', archive, '-C', context, '.']);
  const path = '/api/v1/job-contexts';
  const sent = await pool.ask(path, { method: 'POST', certificate: tenant, bytes: readFileSync(archive) });
  expect(sent.status).toBe(201);
  return JSON.parse(sent.text).digest;
}

it('does jobs in their tenant’s engine, and nobody else learns of them', async () => {
  const limit = 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null';
  const done = await submit('a', runs(`echo my secret; ${limit}; true`));
  await succeeds('a', done);
  const log = (await asked('a', 'GET', `/jobs/${done}/logs`)).text;
  expect(log).toContain('my secret');
  expect(log).toContain('268435456');
  const running = await submit('a', runs('sleep 1000'));
  await expect
    .poll(async () => await pool.dockerOk('a', 'ps', '--format', '{{.Names}}'), { timeout: 60_000 })
    .toContain(`slipway-job-${running}`);
  expect(await pool.dockerOk('b', 'ps', '--all', '--format', '{{.Names}}')).not.toContain('slipway-job');
  expect(await pool.worker.dockerOk('ps', '--all', '--quiet')).toBe('');

  const none = crypto.randomUUID();
  for (const [method, action] of [
    ['GET', ''],
    ['GET', '/logs'],
    ['POST', '/cancel'],
    ['POST', '/retry'],
    ['DELETE', ''],
  ] as const) {
    for (const id of [done, running]) {
      const [theirs, nobodys] = [
        await asked('b', method, `/jobs/${id}${action}`),
        await asked('b', method, `/jobs/${none}${action}`),
      ];
      expect(theirs.status).toBe(404);
      expect(theirs.text.replaceAll(id, '…')).toBe(nobodys.text.replaceAll(none, '…'));
    }
  }
  const needing = (need: string) => asked('b', 'POST', '/jobs', { ...runs('true'), needs: [need] });
  expect((await needing(done)).text.replaceAll(done, '…')).toBe(
    (await needing(none)).text.replaceAll(none, '…'),
  );
  expect((await asked('b', 'GET', '/jobs')).json.items).toEqual([]);
  expect((await asked('b', 'GET', '/jobs?tenant=a')).status).toBe(403);
  expect((await asked('b', 'POST', '/jobs', { ...runs('true'), tenant: 'a' })).status).toBe(403);
  const keyed = { ...runs('sleep 1000'), dedupKey: 'one' };
  const [ofA, ofB] = [await submit('a', keyed), await submit('b', keyed)];
  expect(ofA).not.toBe(ofB);

  // What the operator asks for on a tenant's account is the operator's.
  const own = JSON.parse(
    await pool.slipway(
      'job',
      'submit',
      '--json',
      await jobFile({ ...runs('true'), tenant: 'a', dedupKey: 'one' }),
    ),
  );
  expect(own.isNew).toBe(true);
  const listed = (await asked('a', 'GET', '/jobs')).json.items.map(({ id }: { id: string }) => id);
  expect(listed.toSorted()).toEqual([done, running, ofA].toSorted());
  expect((await asked('a', 'GET', `/jobs/${own.id}`)).status).toBe(404);
  await cancel('a', running);
  await cancel('a', ofA);
  await cancel('b', ofB);
});

it('builds an archive for who has sent it alone', async () => {
  const digest = await sentContext('a');
  const build = { kind: 'build', build: { context: { upload: digest } } };
  expect((await asked('b', 'POST', '/jobs', build)).status).toBe(404);
  await succeeds('a', await submit('a', build));
});

it('holds jobs to the policy of their tenant, who has no say in whose turn it is', async () => {
  for (const body of [
    { kind: 'run', run: { image: 'elsewhere.example/x' } },
    {
      kind: 'build',
      build: { context: { url: 'https://git.example/app.git' }, tags: ['elsewhere.example/x:1'] },
    },
    { kind: 'pipeline', jobs: { x: { kind: 'run', run: { image: 'elsewhere.example/x' } } } },
    { ...runs('true'), priority: 1 },
  ]) {
    expect((await asked('a', 'POST', '/jobs', body)).status).toBe(403);
  }
  for (const path of ['/tenants', '/tenants/a']) {
    expect((await asked('a', 'GET', path)).text).toContain('for the operator of the pool');
    expect((await asked('a', 'PUT', path, {})).status).toBe(403);
  }
});

it('starts what a tenant has asked for by an event, which is known by its signature', async () => {
  const file = await jobFile({
    source: { kind: 'git', from: 'github' },
    job: runs('echo started by an event'),
  });
  const put = await pool.as('a', program, 'trigger', 'put', 'pushed', file);
  expect(put).toSucceed();
  const events = /events to: (\S+)/.exec(put.stdout)![1]!;
  const secret = /secret: (\S+)/.exec(put.stdout)![1]!;
  expect((await asked('b', 'GET', '/triggers')).json.items).toEqual([]);
  expect((await asked('b', 'DELETE', '/triggers/pushed')).status).toBe(404);
  const push = JSON.stringify({ ref: 'refs/heads/main', after: 'a'.repeat(40) });
  const signed = (key: string) => ({
    method: 'POST',
    bytes: Buffer.from(push),
    headers: { 'X-Hub-Signature-256': `sha256=${createHmac('sha256', key).update(push).digest('hex')}` },
  });
  expect((await pool.ask(events, signed('guessed'))).status).toBe(401);
  const started = await pool.ask(events, signed(secret));
  expect(started.status).toBe(202);
  await succeeds('a', JSON.parse(started.text).id);
  const hook = await pool.as('a', program, 'hook', 'add', 'https://hooks.example/ci');
  expect(hook).toSucceed();
  expect((await pool.as('b', program, 'hook', 'list')).stdout).not.toContain('hooks.example');
  expect((await pool.as('a', program, 'hook', 'add', 'http://10.0.0.1/')).code).toBe(1);
});
