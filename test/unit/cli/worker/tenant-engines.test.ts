import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { conflict, unavailable } from '#errors/errors.ts';
import { TenantPlaces } from '#pool/tenants/tenant-places.ts';
import { parseTenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { TenantEngines } from '../../../../src/cli/worker/tenant-engines.ts';

const policy = parseTenantPolicy({});
const tenant = { name: 'a', policy };

let folder: string;
/** What engines did, in order. */
let done: string[];
/** What a removal waits for. */
let removing: () => Promise<void>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-tenants-'));
  done = [];
  removing = async () => {};
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function open() {
  const places = await TenantPlaces.open(join(folder, 'tenants.json'), 10);
  const engines = new TenantEngines({
    start: async ({ policy: { worker } }) => {
      if (worker.disk !== null && worker.disk > 2 ** 30) throw unavailable('no room');
      done.push('start');
      return {
        server: createServer(),
        policy,
        async use() {},
        follow() {},
        async remove() {
          done.push('remove');
          await removing();
        },
        async [Symbol.asyncDispose]() {
          done.push('dispose');
        },
      };
    },
    places,
    log: pino({ level: 'silent' }),
  });
  return { engines, places };
}

it('has one engine of a tenant at a time, also where its removal fails', async () => {
  const { engines, places } = await open();
  await engines.of(tenant);
  removing = async () => {
    throw conflict('removal of container c is already in progress');
  };
  await expect(engines.remove('a')).rejects.toThrow('already in progress');
  expect(done).toEqual(['start', 'remove', 'dispose']);
  expect(places.list()).toHaveLength(1);
  removing = async () => {};
  await engines.remove('a');
  expect(done).toEqual(['start', 'remove', 'dispose', 'start', 'remove']);
  expect(places.list()).toEqual([]);
  expect(engines.list()).toEqual([]);
});

it('lets nobody in while a tenant is being taken away, and takes it away once', async () => {
  const { engines } = await open();
  await engines.of(tenant);
  const gate = Promise.withResolvers<void>();
  removing = () => gate.promise;
  const removals = [engines.remove('a'), engines.remove('a')];
  await expect(engines.of(tenant)).rejects.toThrow('was removed just now');
  gate.resolve();
  await Promise.all(removals);
  await expect(engines.of(tenant)).rejects.toThrow('was removed just now');
  expect(done).toEqual(['start', 'remove']);
});

it('lets nobody in whose engine was beginning when the tenant was removed', async () => {
  const { engines } = await open();
  const asked = engines.of(tenant);
  const removed = engines.remove('a');
  await expect(asked).rejects.toThrow('was removed just now');
  await removed;
  expect(done).toEqual(['start', 'remove']);
});

it('takes away a tenant whose disk it has no room for', async () => {
  const { engines, places } = await open();
  const large = parseTenantPolicy({ worker: { disk: 2 ** 40 } });
  await expect(engines.of({ ...tenant, policy: large })).rejects.toThrow('no room');
  expect(places.list()).toHaveLength(1);
  await engines.remove('a');
  expect(done).toEqual(['start', 'remove']);
  expect(places.list()).toEqual([]);
});
