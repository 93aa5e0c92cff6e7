import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openWorkerDatabase, type WorkerDatabase } from '#database/worker/open.ts';
import { MemoryNetworkDriver } from '#test/contracts/networks/memory-network-driver.ts';
import type { EngineEvent } from '#worker/events/event-publisher.ts';
import type { FirewallState } from '#worker/networks/firewall/firewall.ts';
import { NetworkService } from '#worker/networks/network-service.ts';
import type { SandboxRequest } from '#worker/networks/sandbox.ts';

describe('networks', () => {
  let database: WorkerDatabase;
  let driver: MemoryNetworkDriver;
  let events: EngineEvent[];
  let rules: (() => FirewallState) | undefined;
  let networks: NetworkService;

  const open = (subnet?: string) =>
    new NetworkService({
      database,
      driver,
      events: { publish: (event) => events.push(event) },
      options: { runDir: '/nowhere', defaultBridge: { name: 'sw0', ...(subnet && { subnet }) } },
      nameServer: { serve: async () => {}, stop: async () => {}, close: async () => {} },
      firewall: ({ state }) => {
        rules = state;
        return { sync: async () => {}, repair: async () => {}, remove: async () => {} };
      },
    });

  beforeEach(async () => {
    database = await openWorkerDatabase(':memory:');
    driver = new MemoryNetworkDriver();
    events = [];
    networks = open();
    await networks.reconcile([]);
  });
  afterEach(async () => {
    await networks.stop();
    await database.destroy();
  });

  const request = (name: string, network = 'bridge'): SandboxRequest => ({
    containerId: name.padEnd(64, '0'),
    containerName: name,
    hostname: name,
    mode: 'networks',
    endpoints: [{ network }],
    ports: [],
  });

  test('the predefined ones are there, and stay', async () => {
    expect((await networks.list()).map(({ network }) => network.name)).toEqual(['bridge', 'host', 'none']);
    expect((await networks.inspect('bridge')).network.ipam.config).toEqual([
      { subnet: '172.17.0.0/16', gateway: '172.17.0.1' },
    ]);
    for (const name of ['bridge', 'host', 'none']) {
      await expect(networks.remove(name)).rejects.toMatchObject({
        kind: 'forbidden',
        message: `${name} is a pre-defined network and cannot be removed`,
      });
    }
    await expect(networks.create({ name: 'bridge' })).rejects.toMatchObject({
      kind: 'forbidden',
      message: 'operation is not permitted on predefined bridge network',
    });
  });

  test('the default network moves when the host has its subnet', async () => {
    driver.routes = [{ subnet: '172.16.0.0/13', interfaceName: 'eth0' }];
    await networks.stop();
    networks = open();
    await networks.reconcile([]);
    expect((await networks.inspect('bridge')).network.ipam.config[0]?.subnet).toBe('172.24.0.0/16');
    networks = open('10.9.0.0/24');
    await networks.reconcile([]);
    expect((await networks.inspect('bridge')).network.ipam.config[0]).toEqual({
      subnet: '10.9.0.0/24',
      gateway: '10.9.0.1',
    });
    expect((await networks.attach(request('web'))).endpoints[0]?.ipv4Address).toBe('10.9.0.2');
  });

  test('a new network takes the first free block and a bridge of its own', async () => {
    driver.routes = [{ subnet: '172.18.4.0/24', interfaceName: 'eth0' }];
    const first = await networks.create({ name: 'first', labels: { a: '1' } });
    const second = await networks.create({ name: 'second' });
    expect(first.bridge).toBe(`br-${first.id.slice(0, 12)}`);
    expect([first, second].map(({ ipam }) => ipam.config[0]?.subnet)).toEqual([
      '172.19.0.0/16',
      '172.20.0.0/16',
    ]);
    expect(driver.bridges.get(first.bridge)?.addresses).toEqual([
      { address: '172.19.0.1', prefixLength: 16 },
    ]);
    expect(events.at(-1)).toMatchObject({ type: 'network', action: 'create', actor: { id: second.id } });
    await networks.remove('first');
    expect(driver.bridges.has(first.bridge)).toBe(false);
    expect(events.at(-1)).toMatchObject({
      action: 'destroy',
      actor: { attributes: { name: 'first', type: 'bridge' } },
    });
  });

  test('found by name, id and unique prefix', async () => {
    const { id } = await networks.create({ name: 'found' });
    for (const reference of ['found', id, id.slice(0, 12)]) {
      expect((await networks.inspect(reference)).network.id).toBe(id);
    }
    await expect(networks.inspect('lost')).rejects.toMatchObject({
      kind: 'not-found',
      message: 'network lost not found',
    });
    await expect(networks.inspect('')).rejects.toMatchObject({ kind: 'not-found' });
  });

  test.each([
    [{ name: 'there' }, 'conflict', 'network with name there already exists'],
    [{ name: 'a b' }, 'invalid', 'invalid network name'],
    [{ name: 'x', driver: 'macvlan' }, 'not-found', 'could not resolve driver macvlan'],
    [{ name: 'x', driver: 'host' }, 'forbidden', 'only one instance of "host" network is allowed'],
    [
      { name: 'x', ipam: { config: [{ subnet: '172.17.9.0/24' }] } },
      'forbidden',
      'Pool overlaps with other one on this address space',
    ],
    [
      { name: 'x', ipam: { config: [{ subnet: '10.0.0.0/24', gateway: '10.0.1.1' }] } },
      'invalid',
      'no matching subnet',
    ],
    [
      { name: 'x', ipam: { config: [{ subnet: '10.0.0.0/24', ipRange: '10.1.0.0/25' }] } },
      'invalid',
      'no matching subnet for range',
    ],
    [{ name: 'x', ipam: { config: [{ subnet: 'ten' }] } }, 'invalid', 'invalid CIDR address: ten'],
    [
      { name: 'x', options: { 'com.docker.network.bridge.name': 'sixteen-or-longer' } },
      'invalid',
      'invalid bridge name',
    ],
    [
      { name: 'x', options: { 'com.docker.network.bridge.name': 'sw0' } },
      'forbidden',
      'networks have same bridge name',
    ],
    [{ name: 'x', options: { 'com.docker.network.driver.mtu': 'big' } }, 'invalid', 'invalid MTU'],
  ])('%j is refused', async (wish, kind, message) => {
    await networks.create({ name: 'there' });
    await expect(networks.create(wish)).rejects.toMatchObject({
      kind,
      message: expect.stringContaining(message),
    });
    expect(await networks.list()).toHaveLength(4);
  });

  test('who is on a network keeps it', async () => {
    const network = await networks.create({ name: 'busy' });
    const { containerId } = await networks.attach(request('web', 'busy'));
    await expect(networks.remove('busy')).rejects.toMatchObject({
      kind: 'forbidden',
      message: expect.stringContaining('network busy has active endpoints (name:"web"'),
    });
    expect(await networks.prune()).toEqual([]);
    await networks.detach(containerId);
    await networks.create({ name: 'spare' });
    expect((await networks.prune(({ name }) => name === 'busy')).map(({ id }) => id)).toEqual([network.id]);
    expect((await networks.list()).map(({ network: { name } }) => name)).toContain('spare');
  });

  test('a network that cannot be made real is not there', async () => {
    driver.ensureBridge = async () => {
      throw new Error('no bridges today');
    };
    await expect(networks.create({ name: 'doomed' })).rejects.toThrow('no bridges today');
    await expect(networks.inspect('doomed')).rejects.toMatchObject({ kind: 'not-found' });
  });

  test('the next process knows addresses, ports and names', async () => {
    await networks.create({ name: 'app' });
    const before = await networks.attach({
      ...request('web', 'app'),
      extraHosts: ['db:host-gateway'],
      dns: ['192.0.2.1'],
    });
    expect(before.hosts).toContain('172.17.0.1\tdb\n');
    networks = open();
    await networks.reconcile([before.containerId]);
    expect(await networks.get(before.containerId)).toEqual(before);
    expect((await networks.attach(request('next', 'app'))).endpoints[0]?.ipv4Address).toBe('172.18.0.3');
    await networks.reconcile([]);
    expect(await networks.get(before.containerId)).toBeUndefined();
    expect(driver.attachments.size).toBe(0);
    expect(rules?.().ports).toEqual([]);
  });

  test('ends on our bridges that belong to nobody are cut off', async () => {
    driver.attachments.set('stray', {
      namespace: '/gone',
      bridge: 'sw0',
      hostInterface: 'stray',
      interfaceName: 'eth0',
      macAddress: '',
      mtu: 1500,
      addresses: [],
      gateways: [],
    });
    networks = open();
    await networks.reconcile([]);
    expect(driver.attachments.size).toBe(0);
  });

  test('an attach that fails half way leaves nothing', async () => {
    driver.join = async () => {
      throw new Error('no interfaces today');
    };
    await expect(networks.attach(request('web'))).rejects.toThrow('no interfaces today');
    expect(driver.namespaces.size).toBe(0);
    expect((await networks.inspect('bridge')).endpoints).toEqual([]);
    expect(await database.selectFrom('sandboxes').selectAll().execute()).toEqual([]);
  });

  test('a network that somebody is about to join is not removed under them', async () => {
    const { id } = await networks.create({ name: 'wanted' });
    const joining = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const join = driver.join.bind(driver);
    driver.join = async (...args) => {
      begun.resolve();
      await joining.promise;
      await join(...args);
    };
    const attached = networks.attach(request('web', 'wanted'));
    await begun.promise;
    await expect(networks.remove(id)).rejects.toMatchObject({ kind: 'forbidden' });
    joining.resolve();
    expect((await attached).endpoints[0]?.networkId).toBe(id);
  });

  test('links of the default network are in the hosts file', async () => {
    await networks.attach(request('database'));
    const wish = request('web');
    const web = await networks.attach({
      ...wish,
      endpoints: [{ network: 'bridge', links: ['/database:/web/db'] }],
    });
    expect(web.hosts).toContain('172.17.0.2\tdb database0000 database\n');
  });
});
