import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PortRequest, Sandbox } from '#worker/networks/sandbox.ts';
import { Lab } from './lab.ts';

const port = (containerPort: number, wishes: Partial<PortRequest> = {}): PortRequest => ({
  containerPort,
  protocol: 'tcp',
  hostIp: '',
  ...wishes,
});
const hostPort = (sandbox: Sandbox, index = 0) => sandbox.ports[index]?.hostPort ?? 0;

/** An address of the host that is not its loopback's. */
const ownAddress = Object.entries(networkInterfaces())
  .filter(([name]) => !/^(lo|slt|slipway|br-|veth|docker)/.test(name))
  .flatMap(([, addresses]) => addresses ?? [])
  .find(({ family }) => family === 'IPv4')?.address;

describe('published ports', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.open();
  });
  afterAll(() => lab[Symbol.asyncDispose]());

  test('lead to the container from everywhere', async () => {
    await lab.networks.create({ name: 'abroad' });
    const web = await lab.attach('web', { ports: [port(80), port(81, { protocol: 'udp' })] });
    await lab.serve(web, 'web', 80, 81);
    const neighbour = await lab.attach('neighbour');
    const stranger = await lab.attach('stranger', { endpoints: [{ network: 'abroad' }] });
    const [tcp, udp] = [hostPort(web), web.ports.find(({ protocol }) => protocol === 'udp')?.hostPort ?? 0];
    const gateway = web.endpoints[0]?.gateway ?? '';
    expect(web.ports.map(({ hostIp, protocol }) => `${hostIp} ${protocol}`)).toContain('0.0.0.0 tcp');
    for (const [from, address] of [
      ['host', '127.0.0.1'],
      ['host', ownAddress ?? gateway],
      [neighbour, gateway],
      [neighbour, ownAddress ?? gateway],
      [stranger, ownAddress ?? gateway],
      [web, gateway],
    ] as const) {
      expect(await lab.ask(from, 'tcp', address, tcp), `tcp to ${address}`).toMatch(/^web /);
      expect(await lab.ask(from, 'udp', address, udp), `udp to ${address}`).toMatch(/^web /);
    }
  });

  test('IPv6 clients of the host are passed on', async () => {
    const web = await lab.attach('web6', { ports: [port(80)] });
    await lab.serve(web, 'web6', 80);
    const six = web.ports.find(({ hostIp }) => hostIp === '::');
    // A machine without IPv6 publishes none.
    if (six) expect(await lab.ask('host', 'tcp', '::1', six.hostPort)).toMatch(/^web6 /);
    else expect(web.ports).toHaveLength(1);
  });

  test('one address of the host only', async () => {
    const web = await lab.attach('local', { ports: [port(80, { hostIp: '127.0.0.1' })] });
    await lab.serve(web, 'local', 80);
    expect(web.ports).toEqual([
      { containerPort: 80, protocol: 'tcp', hostIp: '127.0.0.1', hostPort: hostPort(web) },
    ]);
    expect(await lab.ask('host', 'tcp', '127.0.0.1', hostPort(web))).toMatch(/^local /);
    expect(await lab.ask('host', 'tcp', web.endpoints[0]?.gateway ?? '', hostPort(web))).toBe('ECONNREFUSED');
  });

  test('a port that another container has is refused in the words of the engine', async () => {
    const first = await lab.attach('first', { ports: [port(80)] });
    const taken = port(80, { hostPort: hostPort(first) });
    await expect(lab.attach('second', { ports: [port(81), taken] })).rejects.toThrow(
      new RegExp(
        `^driver failed programming external connectivity on endpoint second \\([0-9a-f]{64}\\): Bind for 0.0.0.0:${hostPort(first)} failed: port is already allocated$`,
      ),
    );
    expect(await lab.networks.get(lab.request('second').containerId)).toBeUndefined();
    await lab.networks.detach(first.containerId);
    const second = await lab.attach('second', { ports: [taken] });
    expect(hostPort(second)).toBe(hostPort(first));
    await lab.serve(second, 'second', 80);
    expect(await lab.ask('host', 'tcp', '127.0.0.1', hostPort(second))).toMatch(/^second /);
  });

  test('a port that a process of the host listens on is refused, and the other way round', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port: busy } = server.address() as { port: number };
    await expect(lab.attach('late', { ports: [port(80, { hostPort: busy })] })).rejects.toThrow(
      `failed to bind port 0.0.0.0:${busy}/tcp: listen tcp4 0.0.0.0:${busy}: bind: address already in use`,
    );
    server.close();
    await once(server, 'close');
    const held = await lab.attach('late', { ports: [port(80, { hostPort: busy })] });
    const rival = createServer().listen(hostPort(held), '0.0.0.0');
    await expect(once(rival, 'listening')).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  test('who kept sending UDP while nobody listened reaches the next container', async () => {
    const before = await lab.attach('udp1', { ports: [port(80, { protocol: 'udp' })] });
    await lab.networks.detach(before.containerId);
    const sender = createSocket('udp4').bind(0, '127.0.0.1');
    await once(sender, 'listening');
    const heard = once(sender, 'message', { signal: AbortSignal.timeout(10_000) });
    const target = hostPort(before);
    sender.on('error', () => {});
    sender.send('?', target, '127.0.0.1');
    const after = await lab.attach('udp2', { ports: [port(80, { protocol: 'udp', hostPort: target })] });
    await lab.serve(after, 'udp2', 80);
    sender.send('?', target, '127.0.0.1');
    expect(String((await heard)[0])).toMatch(/^udp2 /);
    sender.close();
  });

  test('a range gives its first free port', async () => {
    const probe = await lab.attach('probe', { ports: [port(80)] });
    const range = { hostPort: hostPort(probe), hostPortEnd: hostPort(probe) + 20 };
    const ranged = await lab.attach('ranged', { ports: [port(80, range)] });
    expect(hostPort(ranged)).toBeGreaterThan(range.hostPort);
    expect(hostPort(ranged)).toBeLessThanOrEqual(range.hostPortEnd);
  });

  test('an internal network publishes nothing', async () => {
    await lab.networks.create({ name: 'closed', internal: true });
    const web = await lab.attach('closed1', { endpoints: [{ network: 'closed' }], ports: [port(80)] });
    expect(web.ports).toEqual([]);
  });

  test('they follow the container to another network and outlive the worker', async () => {
    await lab.networks.create({ name: 'elsewhere' });
    const web = await lab.attach('traveller', { ports: [port(80)] });
    await lab.serve(web, 'traveller', 80);
    await lab.networks.connect(web.containerId, { network: 'elsewhere' });
    await lab.networks.disconnect(web.containerId, 'bridge');
    expect(await lab.ask('host', 'tcp', '127.0.0.1', hostPort(web))).toMatch(/^traveller /);
    await lab.networks.stop();
    expect(await lab.ask('host', 'tcp', '127.0.0.1', hostPort(web))).toMatch(/^traveller /);
    await lab.restart([web.containerId]);
    expect(await lab.ask('host', 'tcp', '127.0.0.1', hostPort(web))).toMatch(/^traveller /);
    const rival = createServer().listen(hostPort(web), '0.0.0.0');
    await expect(once(rival, 'listening')).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  test('rules that somebody flushed are passed over, and come back', async () => {
    const web = await lab.attach('stubborn', { ports: [port(80)] });
    await lab.serve(web, 'stubborn', 80);
    const host = { ...web, namespace: '/proc/self/ns/net' };
    const chain = `${lab.bridge.toUpperCase()}-DNAT`;
    await lab.run(host, 'iptables', '-w', '-t', 'nat', '-F', chain);
    // The worker's own socket is behind the rule.
    expect(await lab.ask('host', 'tcp', '127.0.0.1', hostPort(web))).toMatch(/^stubborn /);
  });
});
