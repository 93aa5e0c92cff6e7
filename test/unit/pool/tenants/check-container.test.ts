import { expect, it } from 'vitest';
import { checkContainer, checkUpdate, HARMLESS, RULED } from '#pool/tenants/check-container.ts';
import { readTenant, writeTenant } from '#pool/tenants/tenant-header.ts';
import { allowsRegistry, parseTenantPolicy } from '#pool/tenants/tenant-policy.ts';
import { createShape } from '#worker/http/containers-create-shape.ts';

const nothing = parseTenantPolicy({});
const create = (HostConfig: object, policy = nothing) => checkContainer({ Image: 'i', HostConfig }, policy);

it('has an opinion of everything that the engine reads of a host configuration', () => {
  const known = Object.keys(createShape.parse({ HostConfig: {} }).hostConfig);
  expect(known.length).toBeGreaterThan(40);
  expect(known.filter((key) => !HARMLESS.has(key) && !RULED.has(key))).toEqual([]);
});

it.each([
  { Privileged: true },
  { Binds: ['/etc:/x'] },
  { Binds: ['/srv/../etc:/x'] },
  { Mounts: [{ Type: 'bind', Source: '/', Target: '/x' }] },
  { Mounts: [{ Type: 'Bind', Source: '/', Target: '/x' }] },
  { Mounts: [{ Type: 'volume', Target: '/x', VolumeOptions: { DriverConfig: { Options: { o: 'bind' } } } }] },
  { NetworkMode: 'host' },
  { UsernsMode: 'host' },
  { CapAdd: ['cap_sys_admin'] },
  { CapAdd: ['ALL'] },
  { Devices: [{ PathOnHost: '/dev/sda' }] },
  { SecurityOpt: ['seccomp=unconfined'] },
  { CgroupParent: '/other' },
  { MaskedPaths: [] },
  { OomScoreAdj: -1 },
  { PortBindings: { '80/tcp': [{ HostPort: '80' }] } },
])('refuses %j to who may nothing in particular', (host) => {
  expect(() => create(host)).toThrow('policy does not allow');
});

it('lets pass what a policy names', () => {
  const policy = parseTenantPolicy({ hostBinds: ['/srv'], capabilities: ['NET_ADMIN'], ports: 'any' });
  create({ Binds: ['/srv/a:/x', 'data:/d'], CapAdd: ['CAP_NET_ADMIN'] }, policy);
  create({ PortBindings: { '80/tcp': [{ HostPort: '80' }] } }, policy);
  expect(() => create({ Binds: ['/srv-2:/x'] }, policy)).toThrow('/srv-2');
});

it('puts limits where none are said, and lets none be lifted', () => {
  const policy = parseTenantPolicy({ memory: 1000, cpus: 2, pids: 50 });
  expect(create({}, policy).HostConfig).toMatchObject({
    Memory: 1000,
    MemorySwap: 1000,
    NanoCpus: 2e9,
    PidsLimit: 50,
  });
  for (const host of [
    { Memory: 1001 },
    { MemorySwap: 5000 },
    { NanoCpus: 3e9 },
    { CpuQuota: -1 },
    { PidsLimit: 51 },
  ]) {
    expect(() => create(host, policy)).toThrow('policy does not allow');
    expect(() => checkUpdate(host, policy)).toThrow('policy does not allow');
  }
  expect(create({ PidsLimit: -1 }, policy).HostConfig).toMatchObject({ PidsLimit: 50 });
  expect(checkUpdate({ PidsLimit: -1 }, policy)).toMatchObject({ PidsLimit: 50 });
  expect(checkUpdate({}, policy)).toEqual({});
});

it('knows registries by their names and those below', () => {
  const policy = parseTenantPolicy({ registries: ['docker.io', '*.example.com'] });
  expect(['docker.io', 'a.example.com', 'A.Example.com'].every((it) => allowsRegistry(policy, it))).toBe(
    true,
  );
  expect(['example.com', 'badexample.com', 'quay.io'].some((it) => allowsRegistry(policy, it))).toBe(false);
});

it('tells a worker for whom it is, and nothing else passes for that', () => {
  const tenant = { name: 'a', policy: nothing };
  expect(readTenant(writeTenant(tenant))).toEqual(tenant);
  expect(readTenant(writeTenant({ ...tenant, generation: 7 }))).toEqual({ ...tenant, generation: 7 });
  expect(readTenant(writeTenant(undefined))).toBeUndefined();
  const named = (name: string) => Buffer.from(JSON.stringify({ name, policy: {} })).toString('base64url');
  for (const header of ['', 'a', 'operator,operator', named('../a'), named(''), 'x'.repeat(20_000)]) {
    expect(() => readTenant(header)).toThrow('cannot be read');
  }
});
