import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openPoolDatabase, type PoolDatabase } from '#database/pool/open.ts';
import { Forwarder } from '#pool/gateway/forward.ts';
import { WorkerAgents } from '#pool/gateway/worker-agents.ts';
import { WorkerContentsRepository } from '#pool/gateway/worker-contents-repository.ts';
import { Workers } from '#pool/gateway/workers.ts';
import { peerRoutes } from '#pool/http/peer-routes.ts';
import { gatewayCredentials, WorkerServer } from '#pool/http/worker-server.ts';
import { GatewayPeers } from '#pool/member/gateway-peers.ts';
import { Membership } from '#pool/member/membership.ts';
import { readTenant, TENANT_HEADER } from '#pool/tenants/tenant-header.ts';
import { parseTenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { Enrolment } from '#pool/workers/enrolment.ts';
import { MembershipRepository } from '#pool/workers/membership-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';

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
  const policy = parseTenantPolicy({});
  peerRoutes(server, {
    workers: new Workers(reached),
    forwarder: new Forwarder(agents),
    ofTenant: async (name) => new Workers({ ...reached, tenant: () => ({ name, policy }) }),
  });
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
});
afterAll(async () => {
  for (const member of members.values()) member[Symbol.dispose]();
  server?.server.close();
  server?.server.closeAllConnections();
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
});

it('connects to nothing else, and for nobody else', async () => {
  const member = members.get('amd')!;
  const open = (path: string) => member.open(path, { headers: {}, signal });
  for (const path of [
    '/peers/arm/containers/json',
    '/peers/arm/grpc/more',
    '/grpc',
    '/peers/arm/grpc?tenant=../x',
  ])
    await expect(open(path), path).rejects.toMatchObject({ kind: 'unavailable' });
  await expect(open('/peers/nobody/grpc')).rejects.toThrow('503');
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
