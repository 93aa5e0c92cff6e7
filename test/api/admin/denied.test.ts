import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AuditRepository } from '#registry/events/audit-repository.ts';
import { DenialLog } from '#registry/events/denial-log.ts';
import { type AuthRegistry, startAuthRegistry } from '#test/registry/auth-registry.ts';
import { json } from '#test/registry/distribution-client.ts';

let registry: AuthRegistry;
let log: DenialLog;
let dropped: number;
beforeAll(async () => {
  registry = await startAuthRegistry({}, (db) => {
    dropped = 0;
    const counter = { add: () => dropped++ };
    log = new DenialLog({ db, logger: pino({ level: 'silent' }), dropped: counter });
    return log;
  });
  await registry.addUser('root', '** admin');
  await registry.addUser('eve', 'hers/** pull,push');
});
afterAll(() => registry[Symbol.asyncDispose]());

interface Entry {
  readonly action: string;
  readonly actor: string;
  readonly repository: string | null;
  readonly address: string;
  readonly userAgent: string;
  readonly requestId: string;
  readonly detail: Readonly<Record<string, string>>;
}

async function denied(): Promise<Entry[]> {
  await log.flush();
  const token = await registry.token('root', 'slipway:api:*');
  const answer = await registry.send('GET', '/api/v1/audit?outcome=denied', token);
  return (json(answer) as { items: Entry[] }).items;
}

it('has what was denied to whom', async () => {
  // How every login begins, and what is denied to those who have not said who they are: no entry.
  await registry.client.send('GET', '/v2/');
  await registry.client.send('GET', '/v2/others/app/manifests/v1');
  const token = await registry.token('eve', 'repository:hers/app:pull', 'repository:others/app:push,delete');
  const headers = { 'User-Agent': 'test/1' };
  for (const [method, path] of [
    ['GET', '/v2/others/app/manifests/v1'],
    ['POST', '/v2/others/app/blobs/uploads/'],
    ['DELETE', '/v2/hers/app/manifests/v1'],
    ['GET', '/api/v1/users'],
  ] as const) {
    const answer = await registry.send(method, path, token, { headers });
    expect([path, [401, 403].includes(answer.status)]).toEqual([path, true]);
  }
  await registry.send('GET', '/v2/others/app/tags/list', 'forged', { headers });
  await registry.getToken('service=slipway', 'eve:wrong password');

  const entries = await denied();
  expect(entries.map(({ action, actor, repository }) => [action, actor, repository]).sort()).toEqual(
    [
      ['api.call', 'user:eve', null],
      ['login.password', 'anonymous', null],
      ['login.token', 'anonymous', 'others/app'],
      ['repository.delete', 'user:eve', 'hers/app'],
      ['repository.pull', 'user:eve', 'others/app'],
      ['repository.push', 'user:eve', 'others/app'],
    ].sort(),
  );
  const call = entries.find(({ action }) => action === 'api.call')!;
  expect(call).toMatchObject({ address: '127.0.0.1', userAgent: 'test/1' });
  expect(call.detail).toEqual({ reason: 'not allowed', method: 'GET', path: '/api/v1/users' });
  expect(call.requestId).toMatch(/^[\w-]{16,}$/);
  expect(JSON.stringify(entries)).not.toContain('wrong password');
});

it('does not grow with a flood of them', async () => {
  const before = (await denied()).length;
  for (let i = 0; i < 100; i++) await registry.send('GET', `/v2/flood/r${i}/manifests/v1`, 'forged');
  const written = (await denied()).length - before;
  expect(written).toBeGreaterThan(0);
  expect(written).toBeLessThanOrEqual(20);
  expect(written + dropped).toBe(100);
});

it('forgets what is older than it has to keep', async () => {
  const audit = new AuditRepository(registry.db);
  const { signal } = new AbortController();
  const [newest] = await audit.list({}, 1);
  const all = (await audit.list({}, 1000)).length;
  expect(await audit.prune(0, signal)).toBe(0);
  const removed = await audit.prune(newest!.at, signal);
  expect(removed).toBeGreaterThan(0);
  expect((await audit.list({}, 1000)).length).toBe(all - removed);
  expect(await audit.list({}, 1)).toEqual([newest]);
});
