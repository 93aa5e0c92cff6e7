import { once } from 'node:events';
import { connect } from 'node:net';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { PublishedPorts, type PublishedPortsPorts } from '#pool/ports/published-ports.ts';
import { freePorts } from '../../../e2e/harness/free-port.ts';

async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    return await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'close').then(() => false),
    ]).catch(() => false);
  } finally {
    socket.destroy();
  }
}

it('closes ports that may not be a gateway’s any more, whatever workers say, and opens those that may', async () => {
  const [first, second] = (await freePorts(2)) as [number, number];
  const allowed = new Set([first]);
  let isSilent = false;
  const rows = [first, second].map((port) => ({ IP: '0.0.0.0', PublicPort: port, Type: 'tcp' }));
  const silence = Promise.withResolvers<{ status: number }>();
  await using published = new PublishedPorts({
    workers: { living: async () => [{ name: 'one' }] },
    client: {
      ask: async () => (isSilent ? await silence.promise : { status: 200, body: [{ Ports: rows }] }),
    },
    // Who connects is let go of at once.
    addressOf: async () => undefined,
    tenant: 'team',
    allows: (port: number) => allowed.has(port),
    log: pino({ enabled: false }),
  } as unknown as PublishedPortsPorts);
  published.changed('one');
  await expect.poll(() => isOpen(first)).toBe(true);
  expect(await isOpen(second)).toBe(false);

  allowed.add(second);
  published.permitted();
  await expect.poll(() => isOpen(second)).toBe(true);
  expect(await isOpen(first)).toBe(true);

  isSilent = true;
  allowed.delete(first);
  published.permitted();
  await expect.poll(() => isOpen(first)).toBe(false);
  expect(await isOpen(second)).toBe(true);
  silence.resolve({ status: 503 });
});
