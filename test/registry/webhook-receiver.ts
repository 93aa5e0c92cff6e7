import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What a receiver does with a request: a status, with headers, or nothing at all. */
export type Reaction = number | { status: number; headers: Record<string, string> } | 'silence';

/** Takes webhooks' deliveries, and answers as a test wants. */
export class WebhookReceiver {
  readonly received: Received[] = [];
  react: (received: Received) => Reaction = () => 204;
  readonly #server = createServer(async (request, response) => {
    const received = { path: request.url ?? '', headers: request.headers, body: await text(request) };
    this.received.push(received);
    const reaction = this.react(received);
    if (reaction === 'silence') return;
    const { status, headers } = typeof reaction === 'number' ? { status: reaction, headers: {} } : reaction;
    response.writeHead(status, headers).end();
  });

  static async start(port = 0): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver();
    receiver.#server.listen(port, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Waits until so many requests came; the test's own time limit ends it. */
  async until(count: number): Promise<Received[]> {
    while (this.received.length < count) await sleep(10);
    return this.received;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Checks a delivery as https://www.standardwebhooks.com tells receivers to, with nothing of Slipway's. */
export function verifies({ headers, body }: Received, secret: string): boolean {
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const expected = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
  return String(headers['webhook-signature']).split(' ').includes(expected);
}
