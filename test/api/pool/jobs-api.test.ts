import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPoolJobs, type PoolJobs } from '#cli/pool/jobs.ts';
import { loadConfig } from '#config/load.ts';
import { openPoolDatabase } from '#database/pool/open.ts';
import { HttpTransport } from '#distribution/http-transport.ts';
import { Registries } from '#distribution/registries.ts';
import { RegistryHosts } from '#distribution/registry-hosts.ts';
import { contextRoutes } from '#pool/http/context-routes.ts';
import type { Claimant } from '#pool/jobs/job.ts';
import { apiRoutes } from '#worker/http/api/api.ts';
import { createEngineRouter } from '#worker/http/router.ts';
import { createEngineServer } from '#worker/http/server.ts';

const closing = new AsyncDisposableStack();
const busybox = { kind: 'run', run: { image: 'busybox' } };
let base: string;
let pool: PoolJobs;
let worker: Claimant;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-jobs-'));
  closing.defer(() => rm(folder, { recursive: true, force: true }));
  const config = {
    ...loadConfig({ environment: {}, set: ['pool.jobs.maxContext=1MiB'] }),
    dataDir: folder,
  };
  const database = { driver: 'sqlite' as const, file: join(folder, 'pool.db') };
  const db = await openPoolDatabase(database);
  closing.defer(() => db.destroy());
  const transport = closing.use(new HttpTransport());
  const registries = new Registries({ transport, hosts: new RegistryHosts() });
  const log = pino({ enabled: false });
  const ports = { db, database, registries, credentials: async () => undefined, log };
  pool = await createPoolJobs(ports, config, closing);
  const offer = { platforms: ['linux/amd64'], labels: { disk: 'fast' }, cpus: 1, memory: 1 };
  worker = await pool.leases.acquire({ name: 'w', address: 'unix:///w', offer }, 60_000);
  const router = createEngineRouter();
  contextRoutes(router, pool.jobs);
  apiRoutes(router, pool.operations, log);
  const server = createEngineServer(router, log).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1`;
});
afterAll(() => closing.disposeAsync());

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the API says
  readonly body: any;
}

async function ask(method: string, path: string, body?: unknown): Promise<Answer> {
  const answer = await fetch(`${base}${path}`, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
}

const refused = (body: unknown) => ask('POST', '/jobs', body);

describe('/api/v1/jobs', () => {
  it('takes a job, and shows what becomes of it', async () => {
    const { status, body } = await ask('POST', '/jobs', { ...busybox, name: 'mine' });
    expect({ status, body }).toMatchObject({ status: 201, body: { isNew: true, jobs: [{ name: 'mine' }] } });
    const { id } = body;
    expect((await ask('GET', `/jobs/${id}`)).body).toMatchObject({
      jobs: [{ id, state: 'queued', ahead: 0, spec: { image: 'busybox', network: 'bridge' } }],
    });
    const queue = pool.queue();
    const [claim] = await queue.claim(worker, 1);
    expect(claim).toMatchObject({ id, attempt: 1, timeout: 3_600_000 });
    await queue.log(claim!, worker, 0, Buffer.from('a line\nand an'));
    await queue.log(claim!, worker, 13, Buffer.from('other'));
    const log = await fetch(`${base}/jobs/${id}/logs?from=7`);
    expect(await log.text()).toBe('{"text":"and an","next":13}\n{"text":"other","next":18}\n');
    await queue.end(claim!, worker, { state: 'succeeded', result: { exitCode: 0 }, publications: [] });
    expect((await ask('GET', `/jobs/${id}`)).body).toMatchObject({
      jobs: [{ state: 'succeeded', attempt: 1, result: { exitCode: 0 } }],
    });
    const kept = await fetch(`${base}/jobs/${id}/logs`);
    expect(await kept.text()).toBe('{"text":"a line\\nand another","next":18}\n');
    expect((await ask('POST', `/jobs/${id}/cancel`)).status).toBe(409);
    expect((await ask('DELETE', `/jobs/${id}`)).status).toBe(204);
    expect((await ask('GET', `/jobs/${id}`)).status).toBe(404);
  });

  it('lists jobs in pages, by state and pipeline', async () => {
    const jobs = { a: busybox, b: { ...busybox, needs: ['a'] }, c: { ...busybox, needs: ['a', 'b'] } };
    const { body } = await ask('POST', '/jobs', { kind: 'pipeline', jobs });
    const first = (await ask('GET', `/jobs?pipeline=${body.id}&limit=2`)).body;
    expect(first.items.map(({ name }: { name: string }) => name)).toEqual(['c', 'b']);
    const rest = (await ask('GET', `/jobs?pipeline=${body.id}&cursor=${first.next}`)).body;
    expect(rest).toMatchObject({ items: [{ name: 'a', state: 'queued' }] });
    const blocked = (await ask('GET', `/jobs?pipeline=${body.id}&state=blocked`)).body;
    expect(blocked.items).toHaveLength(2);
    expect((await ask('POST', `/jobs/${body.id}/cancel`)).status).toBe(204);
    const canceled = (await ask('GET', `/jobs/${body.id}`)).body.jobs;
    expect(canceled.map(({ state }: { state: string }) => state)).toEqual(['canceled', 'skipped', 'skipped']);
    expect((await ask('POST', `/jobs/${body.id}/retry`)).status).toBe(204);
    const again = (await ask('GET', `/jobs/${body.id}`)).body.jobs;
    expect(again.map(({ state }: { state: string }) => state)).toEqual(['queued', 'blocked', 'blocked']);
    await ask('POST', `/jobs/${body.id}/cancel`);
  });

  it('says which unfinished job has the same key', async () => {
    const keyed = { ...busybox, dedupKey: 'nightly' };
    const first = await ask('POST', '/jobs', keyed);
    const second = await ask('POST', '/jobs', keyed);
    expect(second.body).toMatchObject({ id: first.body.id, isNew: false });
    await ask('POST', `/jobs/${first.body.id}/cancel`);
    const third = await ask('POST', '/jobs', keyed);
    expect(third.body.isNew).toBe(true);
    expect((await ask('POST', `/jobs/${first.body.id}/retry`)).body.detail).toContain(third.body.id);
    await ask('POST', `/jobs/${third.body.id}/cancel`);
  });

  it('gives jobs to workers that have what they need', async () => {
    const picky = await ask('POST', '/jobs', { ...busybox, constraints: { labels: { disk: 'slow' } } });
    const fits = await ask('POST', '/jobs', {
      ...busybox,
      constraints: { platform: 'linux/amd64', labels: { disk: 'fast' } },
    });
    const claimed = await pool.queue().claim(worker, 9);
    expect(claimed.map(({ id }) => id)).toEqual([fits.body.id]);
    await ask('POST', `/jobs/${picky.body.id}/cancel`);
  });

  it('keeps what it is sent to be built, up to a size', async () => {
    const send = (bytes: Buffer) =>
      fetch(`${base}/job-contexts`, { method: 'POST', body: new Uint8Array(bytes) });
    const sent = await send(Buffer.from('an archive'));
    expect(sent.status).toBe(201);
    const { digest } = (await sent.json()) as { digest: string };
    const again = (await (await send(Buffer.from('an archive'))).json()) as { digest: string };
    expect(again.digest).toBe(digest);
    const build = (upload: string) => ({ kind: 'build', build: { context: { upload } } });
    expect((await ask('POST', '/jobs', build(digest))).status).toBe(201);
    const absent = `sha256:${'0'.repeat(64)}`;
    expect(await ask('POST', '/jobs', build(absent))).toMatchObject({ status: 404 });
    expect((await send(Buffer.alloc(2 * 2 ** 20))).status).toBe(413);
    expect((await send(Buffer.alloc(0))).status).toBe(400);
  });

  it('refuses what it does not understand, and says where', async () => {
    const where = async (body: unknown) => {
      const answer = await refused(body);
      expect(answer.status).toBe(400);
      return answer.body.detail;
    };
    expect(await where({ ...busybox, colour: 'red' })).toMatch(/^body: .*colour/);
    expect(await where({ kind: 'run', run: { image: 'BAD NAME' } })).toMatch(/^body: run.image: /);
    expect(await where({ kind: 'run', run: { image: 'a', env: { 'A=B': '' } } })).toMatch(/^body: run.env/);
    expect(await where({ kind: 'dance' })).toMatch(/^body: kind: /);
    expect(await where({ ...busybox, timeout: 0 })).toMatch(/^body: timeout: /);
    expect(await where({ ...busybox, needs: ['nobody'] })).toMatch(/not there: nobody/);
    expect(await where({ kind: 'pipeline', jobs: { a: { ...busybox, needs: ['z'] } } })).toMatch(/a needs z/);
    const circle = { a: { ...busybox, needs: ['b'] }, b: { ...busybox, needs: ['a'] } };
    expect(await where({ kind: 'pipeline', jobs: circle })).toMatch(/in a circle: a → b → a/);
    expect(await where({ kind: 'build', build: { context: { url: 'x' }, tags: ['app:1'] } })).toMatch(/tags/);
    const many = { A: 'x'.repeat(30_000), B: 'x'.repeat(30_000) };
    const long = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`V${i}`, many.A]));
    expect(await where({ kind: 'run', run: { image: 'a', env: long } })).toMatch(/a job may say/);
    expect((await refused({ ...busybox, tenant: 'stranger' })).status).toBe(404);
    const huge = { HUGE: 'x'.repeat(20 * 2 ** 20) };
    expect((await refused({ kind: 'run', run: { image: 'a', env: huge } })).status).toBe(413);
    expect((await ask('GET', '/jobs?state=lost')).status).toBe(400);
    expect((await ask('GET', '/jobs/none')).status).toBe(404);
  });

  it('reads no more of a gigabyte of variables than it may take', async () => {
    const target = new URL(`${base}/jobs`);
    const sent = request(target, { method: 'POST', agent: false });
    const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
    // Whoever has answered may close while more comes.
    sent.on('error', () => {});
    sent.write('{"kind":"run","run":{"image":"a","env":{"HUGE":"');
    const piece = Buffer.alloc(2 ** 20, 'x');
    let pieces = 0;
    let isOver = false;
    void answered.then(() => {
      isOver = true;
    });
    const feed = () => {
      while (!isOver && pieces < 1024) {
        pieces++;
        if (!sent.write(piece)) return void sent.once('drain', feed);
      }
    };
    feed();
    const [answer] = await answered;
    expect(answer.statusCode).toBe(413);
    expect(pieces).toBeLessThan(100);
    sent.destroy();
    expect((await ask('GET', '/jobs?state=queued')).status).toBe(200);
  });

  it('has tenants with shares of their own', async () => {
    expect((await ask('PUT', '/tenants/team', { weight: 3, maxRunning: 2 })).status).toBe(204);
    expect((await ask('GET', '/tenants')).body.items).toContainEqual({
      name: 'team',
      weight: 3,
      maxRunning: 2,
    });
    expect((await ask('PUT', '/tenants/UPPER', {})).status).toBe(400);
    const states = [];
    for (let i = 0; i < 3; i++) {
      const { body } = await ask('POST', '/jobs', { ...busybox, tenant: 'team' });
      states.push(body.jobs[0].state);
    }
    expect(states).toEqual(['queued', 'queued', 'held']);
  });
});
