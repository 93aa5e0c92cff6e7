import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What happens to a request on its way. Undefined: it passes. */
export type Fault = (request: IncomingMessage, response: ServerResponse) => undefined | 'handled';

/** Stands between a mirror and a registry: counts what is asked, and breaks it as a test wants. */
export class UpstreamProxy {
  /** `GET /v2/…`, in the order they came. */
  readonly asked: string[] = [];
  fault: Fault = () => undefined;
  /** Passes so many bytes of each body, and then breaks the connection. */
  cutAfter: number | undefined;
  /** Changes bodies' bytes. */
  corrupt = false;
  readonly #target: string;
  readonly #server = createServer((incoming, outgoing) => {
    this.asked.push(`${incoming.method} ${incoming.url}`);
    if (this.fault(incoming, outgoing) === undefined) this.#pass(incoming, outgoing);
  });

  private constructor(target: string) {
    this.#target = target;
  }

  static async start(target: string): Promise<UpstreamProxy> {
    const proxy = new UpstreamProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many requests there were for what ends like this. */
  count(method: string, path: string): number {
    return this.asked.filter((it) => it.startsWith(method) && it.includes(path)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const url = new URL(incoming.url ?? '/', `http://${this.#target}`);
    const { method, headers } = incoming;
    const sent = request(url, { ...(method && { method }), headers, agent: false });
    sent.on('error', () => outgoing.destroy());
    sent.on('response', async (response) => {
      outgoing.writeHead(response.statusCode ?? 500, response.headers);
      let passed = 0;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        if (this.corrupt) chunk[0] = (chunk[0] ?? 0) ^ 1;
        const left = this.cutAfter === undefined ? chunk.length : this.cutAfter - passed;
        outgoing.write(chunk.subarray(0, left));
        passed += chunk.length;
        if (left >= chunk.length) continue;
        // What was written is to arrive before the end of it.
        setTimeout(() => outgoing.destroy(), 20);
        return;
      }
      outgoing.end();
    });
    incoming.pipe(sent);
  }
}
