import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { contains, parseSubnet } from '#worker/networks/ip/subnet.ts';
import { LinuxNetworkDriver } from '#worker/networks/linux/linux-network-driver.ts';
import type { Attachment, NetworkDriver } from '#worker/networks/network-driver.ts';
import { MemoryNetworkDriver } from './memory-network-driver.ts';

const drivers: readonly [string, () => NetworkDriver][] = [
  ['linux', () => new LinuxNetworkDriver()],
  ['memory', () => new MemoryNetworkDriver()],
];

describe.each(drivers)('network driver: %s', (_, open) => {
  let driver: NetworkDriver;
  let directory: string;
  let bridge: string;
  let gateway: string;
  let attachment: Attachment;

  beforeEach(async () => {
    driver = open();
    directory = await mkdtemp(join(tmpdir(), 'slipway-driver-'));
    const unique = randomBytes(3);
    bridge = `sld${unique.toString('hex')}`;
    gateway = `10.${192 + ((unique[0] ?? 0) % 63)}.${unique[1]}.1`;
    attachment = {
      bridge,
      hostInterface: `slv${unique.toString('hex')}`,
      interfaceName: 'eth0',
      macAddress: '02:42:00:00:00:02',
      mtu: 1400,
      addresses: [{ address: gateway.replace(/1$/, '2'), prefixLength: 24 }],
      gateways: [gateway],
    };
  });
  afterEach(async () => {
    driver.removeNamespace(join(directory, 'ns'));
    await driver.removeBridge(bridge);
    await rm(directory, { recursive: true });
  });
  const ensureBridge = () =>
    driver.ensureBridge({ name: bridge, mtu: 1400, addresses: [{ address: gateway, prefixLength: 24 }] });

  test('a bridge is made once, found, and removed', async () => {
    expect(await driver.hasInterface(bridge)).toBe(false);
    await ensureBridge();
    await ensureBridge();
    expect(await driver.hasInterface(bridge)).toBe(true);
    expect(await driver.bridgePorts(bridge)).toEqual([]);
    const route = (await driver.hostRoutes()).find(({ interfaceName }) => interfaceName === bridge);
    expect(contains(parseSubnet(route?.subnet ?? ''), gateway)).toBe(true);
    await driver.removeBridge(bridge);
    await driver.removeBridge(bridge);
    expect(await driver.hasInterface(bridge)).toBe(false);
  });

  test('an interface joins, is a port of the bridge, and leaves', async () => {
    await ensureBridge();
    const namespace = join(directory, 'ns');
    driver.createNamespace(namespace);
    await driver.join(namespace, attachment);
    expect(await driver.bridgePorts(bridge)).toEqual([attachment.hostInterface]);
    await driver.setGateways(namespace, [], [gateway]);
    await driver.setGateways(namespace, [gateway]);
    await driver.leave(attachment.hostInterface);
    await driver.leave(attachment.hostInterface);
    expect(await driver.bridgePorts(bridge)).toEqual([]);
  });

  test('a namespace takes its interfaces along', async () => {
    await ensureBridge();
    const namespace = join(directory, 'ns');
    driver.createNamespace(namespace);
    await driver.join(namespace, attachment);
    driver.removeNamespace(namespace);
    driver.removeNamespace(namespace);
    await vi.waitFor(async () => expect(await driver.bridgePorts(bridge)).toEqual([]), 5_000);
  });

  test('a namespace is not made over another', () => {
    driver.createNamespace(join(directory, 'ns'));
    expect(() => driver.createNamespace(join(directory, 'ns'))).toThrow();
  });

  test('joining a bridge that is gone says so and leaves nothing', async () => {
    const namespace = join(directory, 'ns');
    driver.createNamespace(namespace);
    await expect(driver.join(namespace, attachment)).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'ENODEV',
    });
    expect(await driver.hasInterface(attachment.hostInterface)).toBe(false);
  });

  test('the host has an MTU', async () => {
    expect(await driver.hostMtu()).toBeGreaterThanOrEqual(576);
  });

  test('a way to other machines is made once, made anew when it changed, and goes with its bridge', async () => {
    await ensureBridge();
    const vni = 4_097 + (Buffer.from(bridge.slice(3), 'hex').readUIntBE(0, 3) % 1_000_000);
    const vxlan = { name: `slx${bridge.slice(3)}`, bridge, vni, local: '127.0.0.1', port: 47_890, mtu: 1350 };
    const station = (last: number, destination: string) => ({
      ipv4Address: gateway.replace(/1$/, String(last)),
      macAddress: `02:42:00:00:01:${last.toString(16).padStart(2, '0')}`,
      destination,
    });
    try {
      await driver.ensureVxlan(vxlan);
      await driver.ensureVxlan(vxlan);
      // More than the kernel answers for at once.
      const many = Array.from({ length: 200 }, (_, index) => station(index + 20, '192.0.2.1'));
      await driver.setStations(vxlan.name, many);
      await driver.setStations(vxlan.name, [station(20, '192.0.2.2'), station(9, '192.0.2.3')]);
      await driver.ensureVxlan({ ...vxlan, vni: vni + 1 });
      await driver.setStations(vxlan.name, [station(20, '192.0.2.2')]);
      await driver.setStations(vxlan.name, []);
    } finally {
      await driver.leave(vxlan.name);
    }
    await expect(driver.setStations(vxlan.name, [])).rejects.toMatchObject({ code: 'ENODEV' });
  });
});
