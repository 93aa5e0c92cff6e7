import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, isIPv6, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import type { PublishedPort } from '../sandbox.ts';

/** Where connections that reach the worker itself are passed on to; undefined while there is no such place. */
export type PortTarget = () => string | undefined;

/**
 * Binds a port of the host until disposed. The packet filter sends what arrives there on to the container before
 * it gets here; what does get here (IPv6, or a filter that was flushed) is passed on too, if it is TCP.
 */
export function holdPort(port: PublishedPort, target: PortTarget): Promise<AsyncDisposable | undefined> {
  if (port.protocol === 'tcp') return holdTcp(port, target);
  if (port.protocol === 'udp') return holdUdp(port);
  // Node has no SCTP sockets; the table of reservations still keeps two containers apart.
  return Promise.resolve(undefined);
}

async function holdTcp(port: PublishedPort, target: PortTarget): Promise<AsyncDisposable> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    open.add(client);
    client.on('close', () => open.delete(client));
    passOn(client, target(), port.containerPort);
  });
  server.listen({ host: port.hostIp, port: port.hostPort, ipv6Only: isIPv6(port.hostIp), exclusive: true });
  await once(server, 'listening');
  // Such as being out of file descriptors for one connection; the port stays ours.
  server.on('error', () => {});
  server.unref();
  return {
    async [Symbol.asyncDispose]() {
      for (const client of open) client.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function passOn(client: Socket, address: string | undefined, port: number): void {
  if (address === undefined) {
    client.destroy();
    return;
  }
  const container = connect({ host: address, port, allowHalfOpen: true });
  // A side that fails takes the other along; one that merely ends leaves the answer open.
  const ended = (error: Error | null | undefined) => {
    if (!error) return;
    client.destroy();
    container.destroy();
  };
  pipeline(client, container, ended);
  pipeline(container, client, ended);
}

async function holdUdp(port: PublishedPort): Promise<AsyncDisposable> {
  const socket = createSocket({ type: isIPv6(port.hostIp) ? 'udp6' : 'udp4', ipv6Only: isIPv6(port.hostIp) });
  socket.bind({ address: port.hostIp, port: port.hostPort, exclusive: true });
  await once(socket, 'listening');
  socket.on('error', () => {});
  socket.unref();
  return {
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, 'close');
    },
  };
}
