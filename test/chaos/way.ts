import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A way between two processes that can be cut: nothing passes then, and nobody is told, as when a network is parted. What
 * was on its way arrives once it is whole again, however late.
 */
export class Way implements AsyncDisposable {
  readonly #server: Server;
  readonly #targets: () => readonly number[];
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #waiting = new Set<Socket>();
  #isCut = false;
  #turn = 0;

  /** To one of these ports on loopback, by turns: asked for each connection. */
  static async open(targets: () => readonly number[]): Promise<Way> {
    const way = new Way(targets);
    way.#server.listen(0, '127.0.0.1');
    await once(way.#server, 'listening');
    return way;
  }

  private constructor(targets: () => readonly number[]) {
    this.#targets = targets;
    this.#server = createServer({ pauseOnConnect: true }, (socket) => {
      socket.on('error', () => {});
      if (this.#isCut) this.#waiting.add(socket);
      else this.#join(socket);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  cut(): void {
    this.#isCut = true;
    for (const [one, other] of this.#pairs) {
      one.unpipe().pause();
      other.unpipe().pause();
    }
  }

  heal(): void {
    this.#isCut = false;
    for (const pair of this.#pairs) pipeBoth(pair);
    for (const socket of this.#waiting) this.#join(socket);
    this.#waiting.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of [...this.#pairs].flat()) socket.destroy();
    for (const socket of this.#waiting) socket.destroy();
    await once(this.#server, 'close');
  }

  #join(socket: Socket): void {
    const targets = this.#targets();
    const port = targets[this.#turn++ % targets.length];
    if (port === undefined) return void socket.destroy();
    const other = connect(port, '127.0.0.1');
    const pair = [socket, other] as const;
    this.#pairs.add(pair);
    for (const each of pair) {
      each.on('error', () => {});
      each.on('close', () => {
        this.#pairs.delete(pair);
        for (const end of pair) end.destroy();
      });
    }
    pipeBoth(pair);
  }
}

function pipeBoth([one, other]: readonly [Socket, Socket]): void {
  one.pipe(other);
  other.pipe(one);
}
