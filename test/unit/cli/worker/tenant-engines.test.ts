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
  await expect(engines.remove('a', 0)).rejects.toThrow('already in progress');
  expect(done).toEqual(['start', 'remove', 'dispose']);
  expect(places.list()).toHaveLength(1);
  removing = async () => {};
  await engines.remove('a', 0);
  expect(done).toEqual(['start', 'remove', 'dispose', 'start', 'remove']);
  expect(places.list()).toEqual([]);
  expect(engines.list()).toEqual([]);
});

it('lets nobody in while a tenant is being taken away, and takes it away once', async () => {
  const { engines } = await open();
  await engines.of(tenant);
  const gate = Promise.withResolvers<void>();
  removing = () => gate.promise;
  const removals = [engines.remove('a', 0), engines.remove('a', 0)];
  await expect(engines.of(tenant)).rejects.toThrow('was removed just now');
  gate.resolve();
  await Promise.all(removals);
  await expect(engines.of(tenant)).rejects.toThrow('was removed just now');
  expect(done).toEqual(['start', 'remove']);
});

it('lets nobody in whose engine was beginning when the tenant was removed', async () => {
  const { engines } = await open();
  const asked = engines.of(tenant);
  const removed = engines.remove('a', 0);
  await expect(asked).rejects.toThrow('was removed just now');
  await removed;
  expect(done).toEqual(['start', 'remove']);
});

it('takes away a tenant whose disk it has no room for', async () => {
  const { engines, places } = await open();
  const large = parseTenantPolicy({ worker: { disk: 2 ** 40 } });
  await expect(engines.of({ ...tenant, policy: large })).rejects.toThrow('no room');
  expect(places.list()).toHaveLength(1);
  await engines.remove('a', 0);
  expect(done).toEqual(['start', 'remove']);
  expect(places.list()).toEqual([]);
});

it('gives nobody what somebody else had under the same name', async () => {
  const { engines, places } = await open();
  await engines.of(tenant);
  const [second, third] = [7, 9].map((generation) => ({ ...tenant, generation }));
  const gate = Promise.withResolvers<void>();
  removing = () => gate.promise;
  const asked = [engines.of(second!), engines.of(second!)];
  await expect(engines.of(tenant)).rejects.toThrow('was removed');
  gate.resolve();
  await Promise.all(asked);
  expect(done).toEqual(['start', 'remove', 'start']);
  expect(engines.held()).toEqual([{ tenant: 'a', generation: 7 }]);
  // As a gateway that has not heard of it yet would ask.
  await expect(engines.of(tenant)).rejects.toThrow('was removed');
  await engines.remove('a', 0);
  expect(done).toEqual(['start', 'remove', 'start']);
  expect((await TenantPlaces.open(join(folder, 'tenants.json'), 10)).list()).toEqual(places.list());

  removing = async () => {
    throw conflict('it could not be killed');
  };
  await expect(engines.of(third!)).rejects.toThrow('could not be killed');
  expect(engines.held()).toEqual([{ tenant: 'a', generation: 7 }]);
  removing = async () => {};
  await engines.of(third!);
  expect(engines.held()).toEqual([{ tenant: 'a', generation: 9 }]);
});
