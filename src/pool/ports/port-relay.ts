import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { conflict, systemCode, unavailable } from '#errors/errors.ts';
import type { PublicPort } from './port-claims-repository.ts';

/** Where what comes is passed on to; undefined while there is no such place. */
type Target = () => string | undefined;

/** After so long without a packet, in milliseconds, a sender is forgotten; there are so many at a time. */
const UDP_IDLE = 60_000;
const UDP_SENDERS = 1_024;

/**
 * Listens at a port of this machine, at one address or at all, and passes on to the same port of another machine. Throws
 * `conflict` when it is taken.
 */
export async function relayPort(
  port: PublicPort,
  target: Target,
  address?: string,
): Promise<AsyncDisposable> {
  try {
    return await (port.protocol === 'tcp' ? relayTcp : relayUdp)(port.port, target, address);
  } catch (cause) {
    const message = `failed to bind port 0.0.0.0:${port.port}/${port.protocol} of the gateway`;
    if (systemCode(cause) === 'EADDRINUSE') {
      throw conflict(`${message}: address already in use`, { cause });
    }
    throw unavailable(`${message}: ${(cause as Error).message}`, { cause });
  }
}

async function relayTcp(port: number, target: Target, address?: string): Promise<AsyncDisposable> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const host = target();
    if (host === undefined) return client.destroy();
    const worker = connect({ host, port, allowHalfOpen: true });
    for (const socket of [client, worker]) {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    }
    // A side that fails takes the other along; one that merely ends leaves the answer open.
    const ended = (error: Error | null | undefined) => {
      if (!error) return;
      client.destroy();
      worker.destroy();
    };
    pipeline(client, worker, ended);
    pipeline(worker, client, ended);
  });
  await listening(server, port, address);
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** On both families, where this machine has both. */
async function listening(server: Server, port: number, address = '::'): Promise<void> {
  try {
    server.listen({ host: address, port, exclusive: true });
    await once(server, 'listening');
  } catch (error) {
    if (!['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(systemCode(error) ?? '')) throw error;
    server.listen({ host: '0.0.0.0', port, exclusive: true });
    await once(server, 'listening');
  }
  server.on('error', () => {});
}

/** Each sender has a socket of its own towards the worker, so that answers find it. IPv4. */
async function relayUdp(port: number, target: Target, address?: string): Promise<AsyncDisposable> {
  const senders = new Map<string, { socket: UdpSocket; idle: NodeJS.Timeout }>();
  const listener = createSocket('udp4', (message, from) => {
    const key = `${from.address}:${from.port}`;
    const host = target();
    if (host === undefined || (!senders.has(key) && senders.size >= UDP_SENDERS)) return;
    let sender = senders.get(key);
    if (!sender) {
      const socket = createSocket('udp4', (answer) =>
        listener.send(answer, from.port, from.address, () => {}),
      );
      const forget = () => {
        senders.delete(key);
        socket.close();
      };
      socket.on('error', () => {});
      sender = { socket, idle: setTimeout(forget, UDP_IDLE).unref() };
      senders.set(key, sender);
    }
    sender.idle.refresh();
    sender.socket.send(message, port, host, () => {});
  });
  listener.bind({ port, exclusive: true, ...(address && { address }) });
  await once(listener, 'listening');
  listener.on('error', () => {});
  return {
    async [Symbol.asyncDispose]() {
      for (const { socket, idle } of senders.values()) {
        clearTimeout(idle);
        socket.close();
      }
      senders.clear();
      listener.close();
      await once(listener, 'close');
    },
  };
}
