import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { expect, it } from 'vitest';
import type { S3Answer } from '#content/s3-answer.ts';
import type { S3Connection } from '#content/s3-connection.ts';
import { S3Connections } from '#content/s3-connections.ts';
import { TestAuthority } from '../../registry/certificates.ts';

const REQUEST = 'GET /bucket/key HTTP/1.1\r\nHost: s3\r\n\r\n';
const MIB = 2 ** 20;

async function withServer(
  listener: RequestListener,
  options: { limit?: number; idleTimeout?: number },
  test: (connections: S3Connections, sockets: Set<Socket>) => Promise<void>,
): Promise<void> {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener);
  const sockets = await listening(server);
  await tested(server, sockets, options, test);
}

async function listening(server: Server | ReturnType<typeof createTcpServer>): Promise<Set<Socket>> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return sockets;
}

async function tested(
  server: Server | ReturnType<typeof createTcpServer>,
  sockets: Set<Socket>,
  options: { limit?: number; idleTimeout?: number },
  test: (connections: S3Connections, sockets: Set<Socket>) => Promise<void>,
): Promise<void> {
  const { port } = server.address() as AddressInfo;
  const { limit = 4, idleTimeout = 5000 } = options;
  const target = { tls: false, host: '127.0.0.1', port, connectTimeout: 5000, idleTimeout };
  using connections = new S3Connections(target, limit);
  try {
    await test(connections, sockets);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

async function text(answer: S3Answer): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

async function get(connections: S3Connections): Promise<string> {
  return await text((await connections.take()).send(REQUEST));
}

it('gets one after another on one connection', () =>
  withServer(
    (_, response) => response.setHeader('Content-Length', 5).end('bytes'),
    {},
    async (connections, sockets) => {
      for (let count = 0; count < 3; count++) expect(await get(connections)).toBe('bytes');
      expect(sockets.size).toBe(1);
    },
  ));

it('waits when as many are in use as there may be, and then uses one of them', () =>
  withServer(
    (_, response) => response.setHeader('Content-Length', 5).end('bytes'),
    { limit: 2 },
    async (connections, sockets) => {
      const taken: S3Connection[] = [await connections.take(), await connections.take()];
      const others = [get(connections), get(connections), get(connections)];
      expect(await text(taken[0]!.send(REQUEST))).toBe('bytes');
      expect(await Promise.all(others)).toEqual(['bytes', 'bytes', 'bytes']);
      expect(sockets.size).toBe(2);
      taken[1]!.destroy();
    },
  ));

it('takes a new connection after one that broke, or that nobody read to the end', () =>
  withServer(
    (_, response) => response.setHeader('Content-Length', 64 * MIB).write(Buffer.alloc(MIB)),
    { limit: 1 },
    async (connections, sockets) => {
      const first = (await connections.take()).send(REQUEST);
      await first.head;
      first.destroy();
      const second = (await connections.take()).send(REQUEST);
      await second.head;
      const broken = text(second);
      for (const socket of sockets) socket.destroy();
      await expect(broken).rejects.toThrow();
      await connections.take();
      expect(sockets.size).toBe(3);
    },
  ));

it('does not use a connection that the server closed meanwhile', () =>
  withServer(
    (_, response) => response.setHeader('Content-Length', 5).end('bytes'),
    { limit: 1 },
    async (connections, sockets) => {
      expect(await get(connections)).toBe('bytes');
      const connection = await connections.take();
      const closed = once([...sockets][0]!, 'close');
      for (const socket of sockets) socket.end();
      await closed;
      expect(connection.usable).toBe(false);
      await expect(connection.send(REQUEST).head).rejects.toThrow();
      expect(await get(connections)).toBe('bytes');
    },
  ));

it('reads no faster than its consumer, however long that takes, and gives up on a silent server', () =>
  withServer(
    (_, response) => response.setHeader('Content-Length', 64 * MIB + 1).write(Buffer.alloc(64 * MIB)),
    { idleTimeout: 1000 },
    async (connections) => {
      const answer = (await connections.take()).send(REQUEST);
      await answer.head;
      while (!answer.paused) await new Promise((resolve) => setTimeout(resolve, 10));
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await expect(text(answer)).rejects.toThrow('silent');
    },
  ));

it('says when nobody is there, or nobody takes the connection', async () => {
  const server = createTcpServer();
  const sockets = await listening(server);
  const { port } = server.address() as AddressInfo;
  await tested(server, sockets, {}, async () => {});
  const target = { tls: false, host: '127.0.0.1', port, connectTimeout: 1000, idleTimeout: 1000 };
  using connections = new S3Connections(target, 1);
  await expect(connections.take()).rejects.toThrow('ECONNREFUSED');
  await expect(connections.take()).rejects.toThrow('ECONNREFUSED');
});

it('drops a connection on which something comes that nobody asked for', async () => {
  const server = createTcpServer((socket) => socket.write('HTTP/1.1 408 Request Timeout\r\n\r\n'));
  const sockets = await listening(server);
  await tested(server, sockets, {}, async (connections) => {
    const connection = await connections.take();
    await once([...sockets][0] ?? connect(0), 'close');
    expect(connection.usable).toBe(false);
  });
});

it('gets over TLS from a server whose certificate is known, and from no other', async () => {
  await using authority = await TestAuthority.create();
  await authority.issue('s3');
  const [key, cert] = ['s3.key', 's3.pem'].map((file) => readFileSync(authority.path(file)));
  const body = Buffer.alloc(3 * MIB, 'over TLS ');
  const server = createTlsServer({ key, cert }, (_, response) =>
    response.setHeader('Content-Length', body.length).end(body),
  );
  const sockets = await listening(server);
  const { port } = server.address() as AddressInfo;
  const target = { tls: true, host: 'localhost', port, connectTimeout: 5000, idleTimeout: 5000 };
  const known = getCACertificates();
  try {
    using strange = new S3Connections(target, 1);
    await expect(strange.take()).rejects.toThrow();
    setDefaultCACertificates([...known, (await authority.ca()).toString()]);
    using connections = new S3Connections(target, 1);
    for (let count = 0; count < 2; count++) expect(await get(connections)).toBe(body.toString());
    expect(sockets.size).toBe(2);
  } finally {
    setDefaultCACertificates(known);
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});
