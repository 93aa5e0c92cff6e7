import { once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import type { Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK = 100;

/** The connections of a process's clients, also those that no longer speak HTTP, of which a server itself knows nothing. */
export class ClientConnections {
  readonly #listening: { readonly front: Server; readonly http: HttpServer | undefined }[] = [];
  readonly #open = new Set<Duplex>();

  /** Of what listens, and of the server behind it that knows which of them are idle, if there is one. */
  watch(front: Server, http?: HttpServer): void {
    this.#listening.push({ front, http });
    front.on('connection', (socket: Socket) => this.hold(socket));
  }

  /** One of somebody else's server, which goes on. */
  hold(socket: Duplex): void {
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
  }

  get count(): number {
    return this.#open.size;
  }

  /** Lets nobody new in, and resolves when all have left that are at something, or `patience` milliseconds later. */
  async leave(patience: number): Promise<void> {
    for (const { front } of this.#listening) front.close();
    for (const until = performance.now() + patience; ; await sleep(LOOK)) {
      for (const { http } of this.#listening) http?.closeIdleConnections();
      if (this.#open.size === 0 || performance.now() >= until) return;
    }
  }

  /** Ends the connections that are left. */
  async cut(): Promise<void> {
    const closed = [...this.#open].map((socket) => once(socket, 'close'));
    for (const socket of this.#open) socket.destroy();
    await Promise.all(closed);
  }
}
