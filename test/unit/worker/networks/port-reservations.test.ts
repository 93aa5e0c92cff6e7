import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { PortReservations } from '#worker/networks/ports/port-reservations.ts';

const nowhere = () => undefined;
const udp = { containerPort: 53, protocol: 'udp', hostIp: '' } as const;

it('gives no container the ports of UDP that are the worker’s own', async () => {
  const [first] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/);
  const start = Number(first);
  const own = [start, start + 1];
  const ports = new PortReservations({ ownUdp: own });
  try {
    for (const hostPort of own) {
      for (const hostIp of ['', '127.0.0.1', '::1']) {
        const asked = ports.reserve('a', [{ ...udp, hostIp, hostPort }], nowhere);
        await expect(asked).rejects.toMatchObject({ kind: 'conflict' });
      }
    }
    // Others of a range, and any one of the machine's, are what is left.
    const range = { ...udp, hostPort: start, hostPortEnd: start + 20 };
    for (const request of [range, udp]) {
      const [given] = await ports.reserve('b', [request], nowhere);
      expect(own).not.toContain(given!.hostPort);
    }
  } finally {
    await ports.close();
  }
});

it('gives them away for TCP', async () => {
  const ports = new PortReservations({ ownUdp: Array.from({ length: 65_536 }, (_, port) => port) });
  try {
    const [given] = await ports.reserve('a', [{ ...udp, protocol: 'tcp', hostIp: '127.0.0.1' }], nowhere);
    expect(given!.hostPort).toBeGreaterThan(0);
  } finally {
    await ports.close();
  }
});
