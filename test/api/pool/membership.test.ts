import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openPoolDatabase, type PoolDatabase } from '#database/pool/open.ts';
import { WorkerContentsRepository } from '#pool/gateway/worker-contents-repository.ts';
import { gatewayCredentials, WorkerServer } from '#pool/http/worker-server.ts';
import { Membership } from '#pool/member/membership.ts';
import { PoolConnection } from '#pool/member/pool-connection.ts';
import { Enrolment } from '#pool/workers/enrolment.ts';
import { MembershipRepository } from '#pool/workers/membership-repository.ts';
import { WorkerLeasesRepository } from '#pool/workers/worker-leases-repository.ts';

const HOUR = 60 * 60_000;
const log = pino({ level: 'silent' });
const REPORT = {
  address: 'unix:///nowhere',
  offer: () => ({ platforms: ['linux/amd64'], labels: {}, cpus: 2, memory: 2 ** 30 }),
};

let folder: string;
let db: PoolDatabase;
let enrolment: Enrolment;
let leases: WorkerLeasesRepository;
let contents: WorkerContentsRepository;
let server: WorkerServer;
let url: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-'));
  db = await openPoolDatabase({ driver: 'sqlite', file: join(folder, 'pool.db') });
  enrolment = await Enrolment.open(new MembershipRepository(db), { life: HOUR });
  leases = new WorkerLeasesRepository(db);
  const credentials = await gatewayCredentials(enrolment, { life: HOUR });
  contents = new WorkerContentsRepository(db);
  server = new WorkerServer({ enrolment, leases, contents, log }, { credentials, leaseDuration: 2_000 });
  server.route('POST /whoami', (req) => server.authenticate(req));
  server.server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  url = `https://127.0.0.1:${(server.server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server?.server.close();
  server?.server.closeAllConnections();
  await db?.destroy();
  await rm(folder, { recursive: true, force: true });
});

const token = async () => (await enrolment.createToken(HOUR)).text;
const member = (name: string, text: string | undefined) =>
  Membership.join({ url, token: text, name, folder: join(folder, name) }, log);

it('is had for a token, kept without one, and comes with a lease', async () => {
  {
    using first = await member('one', await token());
    expect(first.claimant).toBeUndefined();
    await first.serve(REPORT);
    expect(first.claimant).toMatchObject({ epoch: 1 });
    expect(await first.ask('POST', '/whoami')).toMatchObject(first.claimant!);
  }
  using again = await member('one', undefined);
  await again.serve(REPORT);
  expect(again.claimant).toMatchObject({ epoch: 2 });
  expect((await leases.find('one'))?.offer).toEqual(REPORT.offer());
});

it('is refused for a token that was used, is another pool’s, or is none', async () => {
  const used = await token();
  using _two = await member('two', used);
  await expect(member('three', used)).rejects.toThrow('the join token was used already');
  const foreign = `${used.slice(0, 25)}${'A'.repeat(43)}${used.slice(68)}`;
  await expect(member('three', foreign)).rejects.toThrow('the join token is not for the pool at');
  const forged = `${used.slice(0, -43)}${'A'.repeat(43)}`;
  await expect(member('three', forged)).rejects.toThrow('the pool knows no such join token');
  await expect(member('three', 'secret')).rejects.toThrow('this is no join token');
  await expect(member('three', undefined)).rejects.toThrow('needs a token');
  const { text: old } = await enrolment.createToken(0);
  await expect(member('three', old)).rejects.toThrow('ran out');
  await rm(join(folder, 'two'), { recursive: true });
  await expect(member('two', await token())).rejects.toThrow("another worker called 'two'");
});

it('has the name that its certificate says, whatever it says itself', async () => {
  using _four = await member('four', await token());
  const read = (name: string) => readFile(join(folder, 'four', name), 'utf8');
  const identity = {
    key: await read('key.pem'),
    cert: await read('certificate.pem'),
    ca: await read('authority.pem'),
  };
  using connection = new PoolConnection(url, identity);
  const asked = { address: 'x', offer: REPORT.offer() };
  await expect(connection.ask('POST', '/lease', { ...asked, name: 'one' })).rejects.toThrow('name');
  const lease = (await connection.ask('POST', '/lease', asked)) as { worker: string };
  expect(lease.worker).toBe((await leases.find('four'))?.worker);
  using stranger = new PoolConnection(url, { ca: identity.ca });
  await expect(stranger.ask('POST', '/lease', asked)).rejects.toThrow('takes a certificate of the pool');
  const gateway = await gatewayCredentials(enrolment, { life: HOUR });
  using posing = new PoolConnection(url, gateway);
  await expect(posing.ask('POST', '/lease', asked)).rejects.toThrow('takes a certificate of a worker');
});

const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`label-${i}`, 'x']));

it.each([
  ['no cores', { cpus: 0 }, 'offer.cpus'],
  ['less than no cores', { cpus: -1 }, 'offer.cpus'],
  ['cores without end', { cpus: 1e308 }, 'offer.cpus'],
  ['no number of cores', { cpus: Number.NaN }, 'offer.cpus'],
  ['negative memory', { memory: -(2 ** 30) }, 'offer.memory'],
  ['half a byte', { memory: 0.5 }, 'offer.memory'],
  ['memory that is no number', { memory: Number.NaN }, 'offer.memory'],
  ['infinite memory', { memory: Number.POSITIVE_INFINITY }, 'offer.memory'],
  ['2⁶³ bytes', { memory: 2 ** 63 }, 'offer.memory'],
  ['more memory than there is', { memory: 2 ** 50 + 1 }, 'offer.memory'],
  ['a million builds at once', { builds: 1e6 }, 'offer.builds'],
  ['no platform', { platforms: [] }, 'offer.platforms'],
  ['a platform that is none', { platforms: ['../../etc'] }, 'offer.platforms'],
  ['labels without end', { labels: many }, 'offer.labels'],
  ['labels that are none', { labels: 7 }, 'offer.labels'],
  ['more than is asked', { gpus: 8 }, 'offer'],
])('is not had by a worker that claims %s', async (_what, lie, where) => {
  using honest = await liars();
  const asked = { address: 'x', offer: { ...REPORT.offer(), ...lie } };
  await expect(honest.ask('POST', '/lease', asked)).rejects.toThrow(where);
  expect(await leases.find('liar')).toBeUndefined();
});

it('goes on for a worker that begins to lie, as what it was', async () => {
  using connection = await liars();
  const asked = { address: 'x', offer: REPORT.offer() };
  const { epoch } = (await connection.ask('POST', '/lease', asked)) as { epoch: number };
  const lie = { ...asked, epoch, offer: { ...asked.offer, memory: 2 ** 63 } };
  await expect(connection.ask('POST', '/lease', lie)).rejects.toThrow('offer.memory');
  expect((await leases.find('liar'))?.offer).toEqual(REPORT.offer());
  for (const epochOfOthers of [epoch + 1, 2 ** 40]) {
    const answer = await connection.ask('POST', '/lease', { ...asked, epoch: epochOfOthers });
    expect(answer).toMatchObject({ held: false });
  }
  await db.deleteFrom('workers').where('name', '=', 'liar').execute();
});

let liar: { key: string; cert: string; ca: string } | undefined;

/** The connection of a worker that says whatever a test has it say. */
async function liars(): Promise<PoolConnection> {
  if (!liar) {
    using _joined = await member('liar', await token());
    const read = (name: string) => readFile(join(folder, 'liar', name), 'utf8');
    liar = {
      key: await read('key.pem'),
      cert: await read('certificate.pem'),
      ca: await read('authority.pem'),
    };
  }
  return new PoolConnection(url, liar);
}

it('loses its lease to whoever takes it away, and gets another epoch', async () => {
  using five = await member('five', await token());
  await five.serve(REPORT);
  const first = five.claimant!;
  const lost = once(five, 'lost');
  const held = once(five, 'held');
  await db.updateTable('workers').set({ lease_expires_at: 0 }).where('name', '=', 'five').execute();
  const released: unknown[] = [];
  const expire = () => leases.expire(async (_trx, who) => released.push(who));
  // The worker may have renewed it in between.
  await expect
    .poll(async () => {
      await db.updateTable('workers').set({ lease_expires_at: 0 }).where('name', '=', 'five').execute();
      await expire();
      return released;
    })
    .toContainEqual(first);
  await lost;
  const [second] = await held;
  expect(second.epoch).toBeGreaterThan(first.epoch);
  expect(await leases.renew(first, 1_000)).toBe(false);
});

it('tells with heartbeats what the worker has, and what nobody overtook', async () => {
  using eight = await member('eight', await token());
  let image = 'sha256:1';
  let isNew = true;
  const content = async (again: boolean) => {
    if (!isNew && !again) return undefined;
    isNew = false;
    return { images: [{ id: image, names: [{ name: 'app:latest', taggedAt: 5 }], layers: ['a', 'b'] }] };
  };
  const meaning = async () => (await contents.read('eight', ''))?.content.names['app:latest'];
  await eight.serve({ ...REPORT, content });
  await expect.poll(meaning, { timeout: 45_000 }).toEqual({ id: 'sha256:1', since: 5 });
  // A gateway has read the worker anew in between: it is told again, read after that.
  const { version } = (await contents.read('eight', ''))!;
  expect(await contents.keep('eight', '', version, { images: [] })).toBe(true);
  expect(await contents.keep('eight', '', version, { images: [] })).toBe(false);
  image = 'sha256:2';
  isNew = true;
  await expect.poll(async () => (await meaning())?.id, { timeout: 45_000 }).toBe('sha256:2');
  // By the pool's clock, whatever the worker's says.
  expect((await meaning())!.since).toBeGreaterThan(Date.now() - 60_000);
});

it('gets nothing new while a worker is drained, by itself or by somebody else', async () => {
  using nine = await member('nine', await token());
  await nine.serve(REPORT);
  const state = async () => (await leases.find('nine'))?.state;
  expect(await leases.drain('nine', true)).toBe(true);
  expect(await state()).toBe('draining');
  const { lease_expires_at: until } = await db
    .selectFrom('workers')
    .select('lease_expires_at')
    .where('name', '=', 'nine')
    .executeTakeFirstOrThrow();
  const renewed = async () =>
    (await db.selectFrom('workers').selectAll().where('name', '=', 'nine').executeTakeFirstOrThrow())
      .lease_expires_at > until;
  await expect.poll(renewed, { timeout: 45_000 }).toBe(true);
  expect(await state()).toBe('draining');
  await leases.acquire({ name: 'nine', address: 'x', offer: REPORT.offer() }, 60_000);
  expect(await state()).toBe('draining');
  await leases.drain('nine', false);
  expect(await state()).toBe('ready');
  using ten = await member('ten', await token());
  await ten.serve(REPORT);
  await ten.leave();
  expect((await leases.find('ten'))?.state).toBe('draining');
  expect(await leases.drain('nobody', true)).toBe(false);
});

it('ends with the removal of a worker', async () => {
  using six = await member('six', await token());
  await six.serve(REPORT);
  await new MembershipRepository(db).remove('six');
  await expect(six.ask('POST', '/whoami')).rejects.toThrow('was removed from the pool');
  const lost = once(six, 'lost');
  await lost;
  expect(six.claimant).toBeUndefined();
});

it('says where nobody answers', async () => {
  const options = { url: 'https://127.0.0.1:1', token: await token(), name: 'x', folder: join(folder, 'x') };
  await expect(Membership.join(options, log)).rejects.toThrow('the pool does not answer');
});
