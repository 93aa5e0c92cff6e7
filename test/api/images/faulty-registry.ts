import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startTestRegistry, type TestRegistry } from '../../registry/test-registry.ts';

/** Answers a request in the registry's place (`true`), or lets it through. */
export type Fault = (
  request: IncomingMessage,
  response: ServerResponse,
  registry: FaultyRegistry,
) => boolean | Promise<boolean>;

/** A real registry behind a proxy that misbehaves as a test tells it to. */
export class FaultyRegistry implements AsyncDisposable {
  readonly real: TestRegistry;
  /** `127.0.0.1:port` of the proxy. */
  readonly address: string;
  /** `GET /v2/a/blobs/…`, with the range where one was asked for. */
  readonly seen: string[];
  readonly #faults: Fault[];
  readonly #close: () => Promise<void>;

  private constructor(
    real: TestRegistry,
    address: string,
    seen: string[],
    faults: Fault[],
    close: () => Promise<void>,
  ) {
    this.real = real;
    this.address = address;
    this.seen = seen;
    this.#faults = faults;
    this.#close = close;
  }

  static async start(): Promise<FaultyRegistry> {
    const real = await startTestRegistry();
    const seen: string[] = [];
    const faults: Fault[] = [];
    const server = createServer(async (request, response) => {
      const range = request.headers.range ? ` ${request.headers.range}` : '';
      seen.push(`${request.method} ${request.url}${range}`);
      for (const fault of faults) if (await fault(request, response, registry)) return;
      registry.forward(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const registry = new FaultyRegistry(real, address, seen, faults, async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await real[Symbol.asyncDispose]();
    });
    return registry;
  }

  /** From now on; later ones are asked last. */
  add(fault: Fault): void {
    this.#faults.push(fault);
  }

  clear(): void {
    this.#faults.length = 0;
    this.seen.length = 0;
  }

  /** Passes a request on; `change` sees the reply's bytes as they come and may end the connection. */
  forward(
    request: IncomingMessage,
    response: ServerResponse,
    change?: (chunk: Buffer, sent: number) => Buffer | 'drop',
  ): void {
    const forwarded = httpRequest(
      {
        host: '127.0.0.1',
        port: this.real.address.split(':')[1],
        method: request.method,
        path: request.url,
        headers: request.headers,
        agent: false,
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        let sent = 0;
        answer.on('data', (chunk: Buffer) => {
          const changed = change ? change(chunk, sent) : chunk;
          if (changed === 'drop') {
            answer.destroy();
            response.destroy();
            return;
          }
          sent += changed.length;
          response.write(changed);
        });
        answer.on('end', () => response.end());
        answer.on('error', () => response.destroy());
      },
    );
    forwarded.on('error', () => response.destroy());
    request.pipe(forwarded);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

export const isBlob = (request: IncomingMessage) =>
  request.method === 'GET' && /\/blobs\/sha256:/.test(request.url ?? '');
