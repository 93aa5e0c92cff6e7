import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { answerFrom } from './answer.ts';
import { formatAnswer, parseQuestion, RCODE } from './dns-message.ts';
import { forward } from './forward.ts';
import type { NameServer } from './name-server.ts';
import { openResolverSockets } from './resolver-sockets.ts';
import { TcpFrames, tcpFrame } from './tcp-frames.ts';
import type { Zone } from './zone.ts';

interface Served {
  readonly udp: UdpSocket;
  readonly tcp: Server;
  readonly clients: Set<Socket>;
}

/** Questions that wait for servers outside, over all containers; more are turned away. */
const MAX_FORWARDED = 1_024;
const MAX_TCP_CLIENTS = 32;
const TCP_IDLE_MS = 10_000;

/**
 * The resolver at 127.0.0.11 inside of every container that is on a network with names. Each container has sockets
 * of its own, so the one who asks is known and is told of its own networks only.
 */
export class EmbeddedResolver implements NameServer {
  readonly #zoneOf: (containerId: string) => Zone | undefined;
  readonly #served = new Map<string, Served>();
  #forwarded = 0;

  constructor({ zoneOf }: { zoneOf: (containerId: string) => Zone | undefined }) {
    this.#zoneOf = zoneOf;
  }

  async serve(containerId: string, namespace: string, options: { fresh: boolean }): Promise<void> {
    if (this.#served.has(containerId)) return;
    const sockets = await openResolverSockets(namespace, options.fresh);
    const clients = new Set<Socket>();
    const udp = createSocket('udp4', (message, from) => {
      void this.#answer(containerId, message, 'udp').then((answer) => {
        if (answer && this.#served.has(containerId)) udp.send(answer, from.port, from.address, () => {});
      });
    });
    const tcp = createServer((client) => void this.#converse(containerId, client, clients));
    tcp.maxConnections = MAX_TCP_CLIENTS;
    const listening = Promise.all([once(udp, 'listening'), once(tcp, 'listening')]);
    udp.bind({ fd: sockets.udp }).unref();
    tcp.listen({ fd: sockets.tcp }).unref();
    await listening;
    for (const socket of [udp, tcp]) socket.on('error', () => {});
    this.#served.set(containerId, { udp, tcp, clients });
  }

  async stop(containerId: string): Promise<void> {
    const served = this.#served.get(containerId);
    if (!served) return;
    this.#served.delete(containerId);
    served.udp.close();
    served.tcp.close();
    for (const client of served.clients) client.destroy();
  }

  async close(): Promise<void> {
    for (const containerId of [...this.#served.keys()]) await this.stop(containerId);
  }

  async #converse(containerId: string, client: Socket, clients: Set<Socket>): Promise<void> {
    clients.add(client);
    client.setTimeout(TCP_IDLE_MS, () => client.destroy());
    const frames = new TcpFrames();
    try {
      for await (const chunk of client) {
        for (const message of frames.push(chunk)) {
          const answer = await this.#answer(containerId, message, 'tcp');
          if (answer) client.write(tcpFrame(answer));
        }
      }
    } catch {
      // The container went away.
    } finally {
      clients.delete(client);
      client.destroy();
    }
  }

  /** Undefined for what deserves no answer. Never throws. */
  async #answer(containerId: string, message: Buffer, transport: 'udp' | 'tcp'): Promise<Buffer | undefined> {
    const question = parseQuestion(message);
    const zone = this.#zoneOf(containerId);
    if (!question || !zone) return undefined;
    try {
      const own = answerFrom(zone, question);
      if (own) return formatAnswer(question, own, transport);
      const theirs = await this.#forward(message, zone, transport);
      if (theirs) return theirs;
    } catch {
      // Below.
    }
    return formatAnswer(question, { rcode: RCODE.SERVFAIL }, transport);
  }

  async #forward(message: Buffer, zone: Zone, transport: 'udp' | 'tcp'): Promise<Buffer | undefined> {
    if (this.#forwarded >= MAX_FORWARDED) return undefined;
    this.#forwarded++;
    try {
      return await forward(message, await zone.upstreams(), transport);
    } finally {
      this.#forwarded--;
    }
  }
}
