import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { peerRequests } from '#cli/gateway/peers.ts';
import { ClientConnections } from '#cli/process/client-connections.ts';
import { openPoolDatabase, type PoolDatabase } from '#database/pool/open.ts';
import { BuildTurnsRepository } from '#pool/gateway/build-turns-repository.ts';
import { Forwarder } from '#pool/gateway/forward.ts';
import { WorkerAgents } from '#pool/gateway/worker-agents.ts';
import { WorkerContentsRepository } from '#pool/gateway/worker-contents-repository.ts';
import { Workers } from '#pool/gateway/workers.ts';
import { gatewayCredentials, WorkerServer } from '#pool/http/worker-server.ts';
import { JobsRepository } from '#pool/jobs/jobs-repository.ts';
import { TenantsRepository } from '#pool/jobs/tenants-repository.ts';
import { GatewayPeers } from '#pool/member/gateway-peers.ts';
import { Membership } from '#pool/member/membership.ts';
import { readTenant, TENANT_HEADER } from '#pool/tenants/tenant-header.ts';
import { TenantRemovalRepository } from '#pool/tenants/tenant-removal-repository.ts';
import { Enrolment } from '#pool/workers/enrolment.ts';
import { MembershipRepository } from '#pool/workers/membership-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import { newJob } from '../../contracts/pool/fixtures.ts';

const HOUR = 60 * 60_000;
const log = pino({ level: 'silent' });
const { signal } = new AbortController();
const PLATFORMS = { amd: 'linux/amd64', arm: 'linux/arm64', 'arm-2': 'linux/arm64', away: 'linux/arm64' };

let folder: string;
let db: PoolDatabase;
let server: WorkerServer;
let url: string;
/** What gateways reach in the place of `arm`, and what it was asked. */
let engine: Server;
const asked: IncomingMessage[] = [];
const members = new Map<string, Membership>();
const closing = new AsyncDisposableStack();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-'));
  const socket = join(folder, 'engine.sock');
  engine = createServer().on('upgrade', (req, connection) => {
    asked.push(req);
    connection.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nhello');
    connection.pipe(connection);
  });
  engine.listen(socket);
  db = await openPoolDatabase({ driver: 'sqlite', file: join(folder, 'pool.db') });
  const enrolment = await Enrolment.open(new MembershipRepository(db), { life: HOUR });
  const credentials = await gatewayCredentials(enrolment, { life: HOUR });
  const leases = new WorkerLeasesRepository(db);
  const ports = { leases, contents: new WorkerContentsRepository(db) };
  server = new WorkerServer({ enrolment, ...ports, log }, { credentials, leaseDuration: HOUR });
  const agents = closing.use(new WorkerAgents());
  const reached = { leases, agents, credentials: () => credentials };
  const started = closing;
  const parts = { workers: new Workers(reached), forwarder: new Forwarder(agents) };
  peerRequests(server, { db, parts, leases, credentials: reached.credentials, started });
  for (const tenant of ['team', 'former']) await new TenantsRepository(db).ensure(tenant);
  server.server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  url = `https://127.0.0.1:${(server.server.address() as AddressInfo).port}`;
  for (const [name, platform] of Object.entries(PLATFORMS)) {
    const token = (await enrolment.createToken(HOUR)).text;
    const member = await Membership.join({ url, token, name, folder: join(folder, name) }, log);
    members.set(name, member);
    const offer = () => ({ platforms: [platform], labels: {}, cpus: 2, memory: 2 ** 30 });
    await member.serve({ address: `unix://${socket}`, offer });
  }
  await members.get('away')!.leave();
  for (const worker of ['amd', 'arm', 'arm-2']) await build(worker, '');
});
afterAll(async () => {
  for (const member of members.values()) member[Symbol.dispose]();
  await server?.close();
  engine?.close();
  engine?.closeAllConnections();
  await closing.disposeAsync();
  await db?.destroy();
  await rm(folder, { recursive: true, force: true });
});

function peersOf(worker: string, tenant?: string) {
  const peers = new GatewayPeers();
  peers.use(members.get(worker)!);
  return peers.of(tenant);
}

/** Has a worker be at a build of a tenant's, or the operator's (''), until the answer is called. */
async function build(worker: string, tenant: string): Promise<() => Promise<void>> {
  const turns = new BuildTurnsRepository(db);
  const id = await turns.enter({ tenant, project: '', session: undefined, wish: {}, exempt: false });
  await db.updateTable('build_turns').set({ worker }).where('id', '=', id).execute();
  return () => turns.leave(id);
}

const wish = (changes: object = {}) => ({
  platform: 'linux/arm64/v8',
  affinity: 'project',
  without: [],
  ...changes,
});

it('finds a worker of a platform: the same one for the same project, nobody who is not wanted, and not who asks', async () => {
  const find = async (from: string, changes: object = {}) =>
    (await peersOf(from).find(wish(changes), { signal }))?.name;
  const first = await find('amd');
  expect(['arm', 'arm-2']).toContain(first);
  expect(await find('amd')).toBe(first);
  const projects = Array.from({ length: 40 }, (_, n) => find('amd', { affinity: `project ${n}` }));
  expect(new Set(await Promise.all(projects))).toEqual(new Set(['arm', 'arm-2']));
  expect(await find('amd', { without: ['arm'] })).toBe('arm-2');
  expect(await find('arm')).toBe('arm-2');
  // One that is about to stop gets nothing new.
  expect(await find('amd', { without: ['arm', 'arm-2'] })).toBeUndefined();
  expect(await find('amd', { platform: 'linux/s390x' })).toBeUndefined();
  expect(await find('amd', { platform: 'no platform at all!' })).toBeUndefined();
});

it('connects to the engine of that worker, for whom the build is', async () => {
  const over = await build('amd', 'team');
  for (const [tenant, expected] of [
    [undefined, undefined],
    ['team', 'team'],
  ] as const) {
    const peer = (await peersOf('amd', tenant).find(wish({ without: ['arm-2'] }), { signal }))!;
    const headers = { 'x-docker-expose-session-uuid': 'id', [TENANT_HEADER]: 'somebody' };
    const connection = await peer.connect('/session', { headers, signal });
    connection.write(' there');
    let text = '';
    for await (const chunk of connection) {
      text += chunk;
      if (text === 'hello there') break;
    }
    const req = asked.at(-1)!;
    expect(req.url).toBe('/session');
    expect(req.headers['x-docker-expose-session-uuid']).toBe('id');
    // Whatever the worker says of that.
    expect(readTenant(req.headers[TENANT_HEADER] as string)?.name).toBe(expected);
  }
  await over();
});

it('serves a worker for whom the pool gave it a build, as long as that lasts', async () => {
  const member = members.get('amd')!;
  const open = (tenant: string) => member.open(`/peers/arm/grpc?tenant=${tenant}`, { headers: {}, signal });
  const served = async (tenant: string) =>
    (await peersOf('amd', tenant).find(wish(), { signal })) !== undefined;
  const refused = { kind: 'forbidden' };
  await expect(open('team')).rejects.toMatchObject(refused);
  // It is done here, or not at all.
  expect(await served('team')).toBe(false);
  const elsewhere = await build('arm-2', 'team');
  await expect(open('team')).rejects.toMatchObject(refused);
  await elsewhere();
  const over = await build('amd', 'team');
  expect(await served('team')).toBe(true);
  (await open('team')).destroy();
  await over();
  await expect(open('team')).rejects.toMatchObject(refused);

  const [made] = await new JobsRepository(db).enqueueAll([newJob({ tenant: 'team', kind: 'build' })]);
  const change = (values: object) =>
    db.updateTable('jobs').set(values).where('public_id', '=', made!.job.id).execute();
  const { worker, epoch } = member.claimant!;
  await change({ state: 'running', worker, worker_epoch: epoch });
  // The operator's, though it is on the tenant's share.
  await expect(open('team')).rejects.toMatchObject(refused);
  await change({ confined: 1 });
  (await open('team')).destroy();
  await change({ worker_epoch: epoch - 1 });
  await expect(open('team')).rejects.toMatchObject(refused);
});

it('serves nobody in the name of a tenant that there is not, and no lease that is over', async () => {
  const member = members.get('amd')!;
  const open = (path: string) => member.open(path, { headers: {}, signal });
  for (const tenant of ['former', 'invented']) await build('amd', tenant);
  (await open('/peers/arm/grpc?tenant=former')).destroy();
  await new TenantRemovalRepository(db).remove('former');
  for (const tenant of ['former', 'invented']) {
    const refused = { kind: 'forbidden', message: expect.stringContaining('there is no such tenant') };
    await expect(open(`/peers/arm/grpc?tenant=${tenant}`)).rejects.toMatchObject(refused);
  }
  const epochs = (by: number) =>
    db
      .updateTable('workers')
      .set(({ ref }) => ({ epoch: sql<number>`${ref('epoch')} + ${by}` }))
      .where('name', '=', 'amd')
      .execute();
  await epochs(1);
  const over = { kind: 'unauthorized', message: expect.stringContaining('this lease is over') };
  await expect(open('/peers/arm/grpc')).rejects.toMatchObject(over);
  // The step is done by whoever else can.
  const found = peersOf('amd').find(wish(), { signal });
  await expect(found).rejects.toMatchObject({ ...over, kind: 'unavailable' });
  await epochs(-1);
  (await open('/peers/arm/grpc')).destroy();
});

it('remembers for a hundred platforms that nobody is of them, no longer than it says', async () => {
  let count = 0;
  const peers = new GatewayPeers();
  peers.use({
    ask: async () => {
      count += 1;
      return { worker: null };
    },
    open: () => Promise.reject(new Error('not asked for')),
  });
  const find = (n: number) => peers.of(undefined).find(wish({ platform: `linux/${n}` }), { signal });
  for (let n = 0; n < 300; n++) await find(n);
  expect(count).toBe(300);
  await find(299);
  expect(count).toBe(300);
  await find(0);
  expect(count).toBe(301);
});

it('connects to nothing else, and for nobody else', async () => {
  const member = members.get('amd')!;
  const open = (path: string) => member.open(path, { headers: {}, signal });
  for (const [path, kind] of Object.entries({
    '/peers/arm/containers/json': 'not-found',
    '/peers/arm/grpc/more': 'not-found',
    '/grpc': 'not-found',
    '/peers/arm/grpc?tenant=../x': 'forbidden',
    '/peers/%/grpc': 'invalid',
    '/peers/arm/grpc?tenant=%': 'invalid',
    '/peers/nobody/grpc': 'unavailable',
  }))
    await expect(open(path), path).rejects.toMatchObject({ kind });
  await expect(open('/peers/nobody/grpc')).rejects.toThrow('worker nobody, which has it, is away');
  const count = asked.length;
  const response = await fetch(`${url}/peers/arm/grpc`, { method: 'POST' }).catch(() => undefined);
  expect(response).toBeUndefined();
  expect(asked).toHaveLength(count);
});

it('says when the pool has lost a worker', async () => {
  const peer = (await peersOf('amd').find(wish({ without: ['arm-2'] }), { signal }))!;
  const stop = new AbortController();
  const gone = peer.lost(stop.signal);
  await db.updateTable('workers').set({ state: 'lost' }).where('name', '=', 'arm').execute();
  await gone;
  const other = (await peersOf('amd').find(wish(), { signal }))!;
  expect(other.name).toBe('arm-2');
  const waiting = other.lost(stop.signal);
  stop.abort();
  await waiting;
});

it('ends with what it has handed on', async () => {
  const clients = new ClientConnections();
  server.server.on('upgrade', (_req, socket) => clients.hold(socket));
  const peer = (await peersOf('amd').find(wish(), { signal }))!;
  const connection = await peer.connect('/grpc', { headers: {}, signal });
  connection.on('error', () => {}).resume();
  // Somebody who may be waited for.
  expect(clients.count).toBe(1);
  const gone = once(connection, 'close');
  await server.close();
  await gone;
  await clients.leave(60_000);
  expect(clients.count).toBe(0);
});
