import { once } from 'node:events';
import {
  createServer,
  request as forward,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { type Duplex, pipeline } from 'node:stream';
import { SlipwayError } from '#errors/errors.ts';
import type { AddressPolicy } from './address-policy.ts';

const REFUSED = 'HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n';

/**
 * A proxy on loopback for one program that connects by itself, wherever redirects, names or submodules lead it: each
 * connection goes to an address that was checked.
 */
export class PolicyProxy implements AsyncDisposable {
  readonly #policy: AddressPolicy;
  readonly #server: Server;
  readonly #tunnels = new Set<Duplex>();
  #refusal: SlipwayError | undefined;

  private constructor(policy: AddressPolicy) {
    this.#policy = policy;
    this.#server = createServer((request, response) => this.#forward(request, response));
    this.#server.on('connect', (request: IncomingMessage, client: Duplex, head: Buffer) =>
      this.#tunnel(request, client, head),
    );
  }

  static async open(policy: AddressPolicy): Promise<PolicyProxy> {
    const proxy = new PolicyProxy(policy);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The first address that the program may not connect to, if it has tried one. */
  get refusal(): SlipwayError | undefined {
    return this.#refusal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const tunnel of this.#tunnels) tunnel.destroy();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #tunnel(request: IncomingMessage, client: Duplex, head: Buffer): void {
    this.#tunnels.add(client);
    client.once('close', () => this.#tunnels.delete(client));
    client.on('error', () => client.destroy());
    const host = this.#checked(`http://${request.url}`);
    if (!host) {
      client.end(REFUSED);
      return;
    }
    // CONNECT names the port, which URL leaves out where it is HTTP's own.
    const port = Number(host.port || 80);
    const target = connect({ host: bare(host), port, lookup: this.#policy.lookup });
    target.once('error', (error) => {
      this.#note(error);
      client.end(REFUSED);
    });
    target.once('connect', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      target.write(head);
      pipeline(client, target, client, () => undefined);
    });
    client.once('close', () => target.destroy());
  }

  #forward(request: IncomingMessage, response: ServerResponse): void {
    const url = this.#checked(request.url ?? '');
    if (!url) {
      response.writeHead(403).end();
      return;
    }
    const { 'proxy-connection': _, 'proxy-authorization': __, ...headers } = request.headers;
    const asked = forward(url, {
      method: request.method,
      headers,
      lookup: this.#policy.lookup,
      agent: false,
    });
    asked.once('error', (error) => {
      this.#note(error);
      if (response.headersSent) response.destroy();
      else response.writeHead(403).end();
    });
    asked.once('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      pipeline(answer, response, () => undefined);
    });
    response.once('close', () => asked.destroy());
    request.pipe(asked);
  }

  /** undefined where it may not go, or that is no address. */
  #checked(address: string): URL | undefined {
    if (!URL.canParse(address)) return undefined;
    const url = new URL(address);
    try {
      this.#policy.check(bare(url));
      return url.protocol === 'http:' ? url : undefined;
    } catch (error) {
      this.#note(error);
      return undefined;
    }
  }

  #note(error: unknown): void {
    if (error instanceof SlipwayError) this.#refusal ??= error;
  }
}

function bare({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}
