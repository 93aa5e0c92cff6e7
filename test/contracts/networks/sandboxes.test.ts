import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from './lab.ts';

describe('containers on networks', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.open();
  });
  afterAll(() => lab[Symbol.asyncDispose]());

  test('a container has its address, its route and what it is told of them', async () => {
    let namespaceBefore = '';
    const sandbox = await lab.networks.attach(lab.request('plain'), {
      onNamespace: (namespace) => {
        namespaceBefore = namespace;
      },
    });
    const [endpoint] = sandbox.endpoints;
    expect(namespaceBefore).toBe(sandbox.namespace);
    expect(endpoint).toMatchObject({
      networkName: 'bridge',
      interfaceName: 'eth0',
      prefixLength: 26,
      aliases: [],
    });
    const addresses = JSON.parse(await lab.run(sandbox, 'ip', '-json', 'address'));
    expect(addresses[0]).toMatchObject({ ifname: 'lo', operstate: 'UNKNOWN' });
    expect(addresses[1]).toMatchObject({
      ifname: 'eth0',
      address: endpoint?.macAddress,
      addr_info: [{ local: endpoint?.ipv4Address, prefixlen: 26, broadcast: `${lab.block}.63` }],
    });
    const routes = JSON.parse(await lab.run(sandbox, 'ip', '-json', 'route'));
    expect(routes[0]).toMatchObject({ dst: 'default', gateway: endpoint?.gateway, dev: 'eth0' });
    expect(sandbox.hosts).toContain(`${endpoint?.ipv4Address}\tplain-host\n`);
    expect(sandbox.hosts).toContain('127.0.0.1\tlocalhost\n');
    expect(sandbox.resolvConf).toMatch(/^nameserver (?!127\.)/);
  });

  test('neighbours reach each other; another network does not', async () => {
    await lab.networks.create({ name: 'apart' });
    const [one, two] = [await lab.attach('one'), await lab.attach('two')];
    const other = await lab.attach('other', { endpoints: [{ network: 'apart' }] });
    await lab.serve(one, 'one', 80);
    const address = one.endpoints[0]?.ipv4Address ?? '';
    expect(await lab.ask(two, 'tcp', address, 80)).toBe(`one ${two.endpoints[0]?.ipv4Address}`);
    expect(await lab.ask('host', 'tcp', address, 80)).toBe(`one ${one.endpoints[0]?.gateway}`);
    expect(await lab.ask(other, 'tcp', address, 80)).toBe('ABORT_ERR');
  });

  test('an internal network has no way out, but neighbours', async () => {
    const network = await lab.networks.create({ name: 'inner', internal: true });
    const inner = await lab.attach('inner1', { endpoints: [{ network: 'inner' }] });
    const neighbour = await lab.attach('inner2', { endpoints: [{ network: network.id }] });
    await lab.serve(neighbour, 'inner2', 80);
    expect(inner.endpoints[0]?.gateway).toBe('');
    expect(JSON.parse(await lab.run(inner, 'ip', '-json', 'route'))).toHaveLength(1);
    expect(await lab.ask(inner, 'tcp', neighbour.endpoints[0]?.ipv4Address ?? '', 80)).toMatch(/^inner2 /);
  });

  test('connect and disconnect change a container that runs', async () => {
    await lab.networks.create({ name: 'joined' });
    const before = await lab.attach('mover');
    const both = await lab.networks.connect(before.containerId, { network: 'joined', aliases: ['moved'] });
    expect(both.endpoints.map(({ interfaceName }) => interfaceName)).toEqual(['eth0', 'eth1']);
    const after = await lab.networks.disconnect(before.containerId, 'bridge');
    expect(after.endpoints.map(({ networkName }) => networkName)).toEqual(['joined']);
    const routes = JSON.parse(await lab.run(after, 'ip', '-json', 'route'));
    expect(routes[0]).toMatchObject({ dst: 'default', gateway: after.endpoints[0]?.gateway, dev: 'eth1' });
    expect(
      JSON.parse(await lab.run(after, 'ip', '-json', 'link')).map((link: { ifname: string }) => link.ifname),
    ).toEqual(['lo', 'eth1']);
    expect(lab.events.filter(({ actor }) => actor.attributes.container === before.containerId)).toMatchObject(
      [
        { action: 'connect', actor: { attributes: { name: 'bridge', type: 'bridge' } } },
        { action: 'connect', actor: { attributes: { name: 'joined' } } },
        { action: 'disconnect', actor: { attributes: { name: 'bridge' } } },
      ],
    );
    await expect(lab.networks.connect(before.containerId, { network: 'joined' })).rejects.toMatchObject({
      kind: 'forbidden',
    });
  });

  test('an address may be asked for once', async () => {
    await lab.networks.create({ name: 'fixed', ipam: { config: [{ subnet: `${lab.block}.128/28` }] } });
    const wish = (ipv4Address: string) => ({ endpoints: [{ network: 'fixed', ipv4Address }] });
    const sandbox = await lab.attach('fixed1', wish(`${lab.block}.137`));
    expect(sandbox.endpoints[0]?.ipv4Address).toBe(`${lab.block}.137`);
    await expect(lab.attach('fixed2', wish(`${lab.block}.137`))).rejects.toMatchObject({ kind: 'conflict' });
    await expect(lab.attach('fixed2', wish('203.0.113.1'))).rejects.toMatchObject({ kind: 'invalid' });
    await lab.networks.detach(sandbox.containerId);
    await lab.attach('fixed2', wish(`${lab.block}.137`));
  });

  test('IPv6 addresses work within a network', async () => {
    await lab.networks.create({ name: 'six', ipv6: true });
    const one = await lab.attach('six1', { endpoints: [{ network: 'six' }] });
    const two = await lab.attach('six2', { endpoints: [{ network: 'six' }] });
    await lab.run(one, 'ip', '-6', 'address');
    const routes = JSON.parse(
      await lab.run(two, 'ip', '-6', '-json', 'route', 'get', one.endpoints[0]?.ipv6Address ?? ''),
    );
    expect(one.endpoints[0]).toMatchObject({ ipv6PrefixLength: 64 });
    expect(routes[0]).toMatchObject({ dev: 'eth0' });
  });

  test('host and none need no namespace of ours', async () => {
    const host = await lab.attach('hosted', { mode: 'host', endpoints: [] });
    expect(host).toMatchObject({ namespace: 'host', endpoints: [{ networkName: 'host', ipv4Address: '' }] });
    const none = await lab.attach('alone', { mode: 'none', endpoints: [] });
    expect(none).toMatchObject({ namespace: 'new', endpoints: [{ networkName: 'none' }] });
    await expect(lab.networks.connect(none.containerId, { network: 'bridge' })).rejects.toMatchObject({
      kind: 'forbidden',
    });
  });

  test('twenty at once have addresses of their own and leave nothing behind', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `crowd${index}`);
    const sandboxes = await Promise.all(names.map((name) => lab.attach(name)));
    expect(new Set(sandboxes.map(({ endpoints }) => endpoints[0]?.ipv4Address)).size).toBe(20);
    await Promise.all(sandboxes.map(({ containerId }) => lab.networks.detach(containerId)));
    expect(sandboxes.filter(({ namespace }) => existsSync(namespace))).toEqual([]);
    // More than the subnet holds, one after another: what was given back is given out again.
    for (let round = 0; round < 70; round++) {
      const { containerId } = await lab.attach('passing');
      await lab.networks.detach(containerId);
    }
  });

  test('a full network says so and leaves nothing half attached', async () => {
    await lab.networks.create({ name: 'tiny', ipam: { config: [{ subnet: `${lab.block}.160/30` }] } });
    await lab.attach('tiny1', { endpoints: [{ network: 'tiny' }] });
    await expect(
      lab.attach('tiny2', { endpoints: [{ network: 'bridge' }, { network: 'tiny' }] }),
    ).rejects.toThrow('no available addresses');
    expect(await lab.networks.get(lab.request('tiny2').containerId)).toBeUndefined();
  });

  test('a bridge that somebody took down is made again', async () => {
    await lab.networks.create({
      name: 'fragile',
      options: { 'com.docker.network.bridge.name': `${lab.bridge}x` },
    });
    const first = await lab.attach('fragile1', { endpoints: [{ network: 'fragile' }] });
    await lab.networks.detach(first.containerId);
    const host = { ...first, namespace: '/proc/self/ns/net' };
    await lab.run(host, 'ip', 'link', 'delete', `${lab.bridge}x`);
    const again = await lab.attach('fragile2', { endpoints: [{ network: 'fragile' }] });
    await lab.serve(again, 'again', 80);
    expect(await lab.ask('host', 'tcp', again.endpoints[0]?.ipv4Address ?? '', 80)).toMatch(/^again /);
  });
});
