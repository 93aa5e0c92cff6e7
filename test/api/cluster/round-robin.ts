import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A load balancer: each request goes to the next process of those that it believes to be up. */
export class RoundRobin implements AsyncDisposable {
  readonly #server = createServer((incoming, answer) => this.#forward(incoming, answer));
  readonly #agent = new Agent({ keepAlive: true });
  readonly #served = new Map<string, number>();
  #targets: readonly string[] = [];
  #next = 0;

  static async start(): Promise<RoundRobin> {
    const balancer = new RoundRobin();
    balancer.#server.listen(0, '127.0.0.1');
    await once(balancer.#server, 'listening');
    return balancer;
  }

  /** `127.0.0.1:port` */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many requests each process answered. */
  get served(): ReadonlyMap<string, number> {
    return this.#served;
  }

  balance(targets: readonly string[]): void {
    this.#targets = targets;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #forward(incoming: IncomingMessage, answer: ServerResponse): void {
    const target = this.#targets[this.#next++ % this.#targets.length];
    const [host, port] = (target ?? '').split(':');
    const { method, url: path, headers } = incoming;
    const outgoing = request({ host, port, method, path, headers, agent: this.#agent });
    outgoing.on('response', (response) => {
      this.#served.set(target!, (this.#served.get(target!) ?? 0) + 1);
      answer.writeHead(response.statusCode!, response.rawHeaders);
      response.on('error', () => answer.destroy());
      response.on('aborted', () => answer.destroy());
      response.pipe(answer);
    });
    outgoing.on('error', () => {
      if (answer.headersSent) answer.destroy();
      else answer.writeHead(502).end();
    });
    incoming.on('aborted', () => outgoing.destroy());
    incoming.pipe(outgoing);
  }
}
