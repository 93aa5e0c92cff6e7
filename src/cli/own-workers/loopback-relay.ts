import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { forward } from '#worker/networks/dns/forward.ts';
import { boundSocket } from '#worker/networks/linux/bound-socket.ts';
import { SOCK_DGRAM, SOCK_STREAM } from '#worker/networks/linux/libc.ts';
import { insideNamespace } from '#worker/networks/linux/namespace.ts';

/** Makes what listens on this machine's loopback reachable on that of a namespace, at the same address and port. TCP. */
export async function relayStreams(
  namespace: string,
  { host, port }: { host: string; port: number },
): Promise<AsyncDisposable> {
  const fd = insideNamespace(namespace, () => boundSocket(SOCK_STREAM, host, port));
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const target = connect({ host, port, allowHalfOpen: true });
    for (const socket of [client, target]) {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    }
    const ended = (error: Error | null | undefined) => {
      if (!error) return;
      client.destroy();
      target.destroy();
    };
    pipeline(client, target, ended);
    pipeline(target, client, ended);
  });
  server.listen({ fd });
  await once(server, 'listening');
  server.on('error', () => {});
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The same for questions to a DNS server over UDP. */
export async function relayQuestions(namespace: string, host: string): Promise<AsyncDisposable> {
  const fd = insideNamespace(namespace, () => boundSocket(SOCK_DGRAM, host, 53));
  const socket = createSocket('udp4', (message, from) => {
    forward(message, [host], 'udp').then(
      (answer) => answer && socket.send(answer, from.port, from.address, () => {}),
      () => {},
    );
  });
  socket.bind({ fd });
  await once(socket, 'listening');
  socket.on('error', () => {});
  return {
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, 'close');
    },
  };
}
