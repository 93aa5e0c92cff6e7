import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Wakes } from '#async/wakes.ts';
import { openPoolDatabase, type PoolDatabase } from '#database/pool/open.ts';
import { WorkerContentsRepository } from '#pool/gateway/worker-contents-repository.ts';
import { stepRoutes } from '#pool/http/step-routes.ts';
import { gatewayCredentials, WorkerServer } from '#pool/http/worker-server.ts';
import { GatewayStepClaims } from '#pool/member/gateway-step-claims.ts';
import { Membership } from '#pool/member/membership.ts';
import { StepClaimsRepository } from '#pool/steps/step-claims-repository.ts';
import { Enrolment } from '#pool/workers/enrolment.ts';
import { MembershipRepository } from '#pool/workers/membership-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';
import type { ClaimedElsewhere, StepClaim } from '#worker/build/solve/step-claims.ts';

const HOUR = 60 * 60_000;
const log = pino({ level: 'silent' });
const offer = () => ({ platforms: ['linux/amd64'], labels: {}, cpus: 2, memory: 2 ** 30 });
const { signal } = new AbortController();

let folder: string;
let db: PoolDatabase;
let server: WorkerServer;
const members = new Map<string, Membership>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-'));
  db = await openPoolDatabase({ driver: 'sqlite', file: join(folder, 'pool.db') });
  const enrolment = await Enrolment.open(new MembershipRepository(db), { life: HOUR });
  const credentials = await gatewayCredentials(enrolment, { life: HOUR });
  const ports = { leases: new WorkerLeasesRepository(db), contents: new WorkerContentsRepository(db) };
  server = new WorkerServer({ enrolment, ...ports, log }, { credentials, leaseDuration: HOUR });
  stepRoutes(server, { steps: new StepClaimsRepository(db), wakes: new Wakes() });
  server.server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const url = `https://127.0.0.1:${(server.server.address() as AddressInfo).port}`;
  for (const name of ['a', 'b', 'c']) {
    const token = (await enrolment.createToken(HOUR)).text;
    const member = await Membership.join({ url, token, name, folder: join(folder, name) }, log);
    members.set(name, member);
    await member.serve({ address: 'unix:///nowhere', offer });
  }
});
afterAll(async () => {
  for (const member of members.values()) member[Symbol.dispose]();
  server?.server.close();
  server?.server.closeAllConnections();
  await db?.destroy();
  await rm(folder, { recursive: true, force: true });
});

/** What a worker is answered. */
async function take(worker: string, key: string): Promise<StepClaim | ClaimedElsewhere> {
  const claims = new GatewayStepClaims();
  claims.use(members.get(worker)!);
  return (await claims.of('cache').take(key, { signal }))!;
}

async function own(worker: string, key: string): Promise<StepClaim> {
  const taken = await take(worker, key);
  if (!taken.isOwn) throw new Error(`${taken.worker} has it`);
  return taken;
}

async function foreign(worker: string, key: string): Promise<ClaimedElsewhere> {
  const taken = await take(worker, key);
  if (taken.isOwn) throw new Error(`${worker} has it`);
  return taken;
}

it('lets others wait for a step until they find it, and has it hurried', async () => {
  const claim = await own('a', 'shared');
  const [b, c] = [await foreign('b', 'shared'), await foreign('c', 'shared')];
  expect([b.worker, c.worker]).toEqual(['a', 'a']);
  const over: string[] = [];
  const waiting = [b, c].map(async (each) => over.push(await each.wait({ signal })));
  const hurried = Promise.withResolvers<void>();
  const settled = Promise.withResolvers<void>();
  claim.done({ settled: settled.promise, hurry: () => hurried.resolve() });
  await hurried.promise;
  expect(over).toEqual([]);
  settled.resolve();
  await Promise.all(waiting);
  expect(over).toEqual(['alone', 'alone']);
  (await own('b', 'shared')).undone('left');
});

it('gives a step that was left to one after the other of those who wait', async () => {
  const claim = await own('a', 'left');
  const others = { b: await foreign('b', 'left'), c: await foreign('c', 'left') };
  const [at, holders] = [new Set<string>(), new Set<string>()];
  const waiting = Object.entries(others).map(async ([worker, first]) => {
    for (let elsewhere = first; ; ) {
      expect(await elsewhere.wait({ signal })).toBe('free');
      const taken = await take(worker, 'left');
      if (taken.isOwn) {
        expect([...at]).toEqual([]);
        at.add(worker);
        holders.add(worker);
        await setImmediate();
        at.delete(worker);
        return taken.undone('left');
      }
      elsewhere = taken;
    }
  });
  claim.undone('left');
  await Promise.all(waiting);
  expect(holders).toEqual(new Set(['b', 'c']));
});

it('lets each do what has failed', async () => {
  const claim = await own('a', 'failed');
  const waiting = (await foreign('b', 'failed')).wait({ signal });
  claim.undone('failed');
  expect(await waiting).toBe('alone');
});

it('gives the step of a worker that was lost to another one', async () => {
  await own('a', 'lost');
  const waiting = (await foreign('b', 'lost')).wait({ signal });
  await db.updateTable('workers').set({ lease_expires_at: 0 }).where('name', '=', 'a').execute();
  expect(await waiting).toBe('free');
  (await own('b', 'lost')).undone('left');
  await db
    .updateTable('workers')
    .set({ lease_expires_at: Date.now() + HOUR })
    .where('name', '=', 'a')
    .execute();
});

it('is not waited for by who has left', async () => {
  const claim = await own('a', 'given up');
  const leaving = new AbortController();
  const waiting = (await foreign('b', 'given up')).wait({ signal: leaving.signal });
  leaving.abort();
  await expect(waiting).rejects.toMatchObject({ kind: 'canceled' });
  claim.undone('left');
});

it('keeps nobody from a step when the pool does not answer, and gives back what it was given too late', async () => {
  const claims = new GatewayStepClaims();
  const cache = claims.of('cache');
  expect(await cache.take('key', { signal })).toBeUndefined();
  const asked: unknown[] = [];
  const late = Promise.withResolvers<unknown>();
  claims.use({
    claimant: { worker: 'w', epoch: 1 },
    ask: (_method, path, body) => {
      asked.push([path, body]);
      return path === '/steps/take' ? late.promise : Promise.resolve({ wanted: [] });
    },
  });
  expect(await cache.take('key', { signal })).toBeUndefined();
  // Nor is it asked again at once.
  expect(await cache.take('other', { signal })).toBeUndefined();
  expect(asked).toHaveLength(1);
  late.resolve({ state: 'own' });
  await expect.poll(() => asked[1]).toMatchObject(['/steps/report', { ended: [{ outcome: 'left' }] }]);
  const broken = new GatewayStepClaims();
  broken.use({ claimant: { worker: 'w', epoch: 1 }, ask: () => Promise.reject(new Error('no')) });
  expect(await broken.of('cache').take('key', { signal })).toBeUndefined();
});

it('refuses what is no step, and who is no worker', async () => {
  const ask = (body: unknown) => members.get('a')!.ask('POST', '/steps/take', body);
  await expect(ask({ scope: 'cache', key: '', attempt: 'x' })).rejects.toMatchObject({ kind: 'invalid' });
  await expect(ask({ scope: 'cache', key: 'k'.repeat(600), attempt: 'x' })).rejects.toMatchObject({
    kind: 'invalid',
  });
  await expect(ask({ scope: 'cache', key: 'k', attempt: 'x', worker: 'b' })).rejects.toMatchObject({
    kind: 'invalid',
  });
});
