import { type IncomingMessage, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { conflict, forbidden, invalid, notFound, unavailable } from '#errors/errors.ts';
import type { EngineAddress } from '#worker/buildkit/client/connection.ts';

interface Sent {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

const KINDS: Readonly<Record<number, typeof invalid>> = {
  400: invalid,
  403: forbidden,
  404: notFound,
  409: conflict,
};

/** Requests to a Docker Engine API. */
export class EngineApi {
  readonly #address: EngineAddress;
  readonly #headers: () => Readonly<Record<string, string>>;

  /** `headers`: on every request. */
  constructor(address: EngineAddress, headers: () => Readonly<Record<string, string>> = () => ({})) {
    this.#address = address;
    this.#headers = headers;
  }

  /** The answer, whose body the caller reads. Throws what the engine says, `unavailable` when none answers. */
  async open(method: 'GET' | 'POST' | 'DELETE', path: string, sent: Sent = {}): Promise<IncomingMessage> {
    const query = new URLSearchParams(sent.query).toString();
    const body = sent.body === undefined ? undefined : Buffer.from(JSON.stringify(sent.body));
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const asked = request(
      {
        ...this.#address,
        method,
        path: query ? `${path}?${query}` : path,
        agent: false,
        signal: sent.signal,
        headers: {
          ...sent.headers,
          ...this.#headers(),
          ...(body && { 'content-type': 'application/json', 'content-length': body.length }),
        },
      },
      resolve,
    );
    asked.once('error', (cause) =>
      reject(unavailable(`the engine does not answer: ${cause.message}`, { cause })),
    );
    asked.end(body);
    const answer = await promise;
    const status = answer.statusCode ?? 0;
    if (status < 400) return answer;
    const kind = KINDS[status] ?? unavailable;
    throw kind(messageIn(await buffer(answer), status));
  }

  /** What an answer says, as JSON. */
  async ask<T>(method: 'GET' | 'POST' | 'DELETE', path: string, sent: Sent = {}): Promise<T> {
    const text = (await buffer(await this.open(method, path, sent))).toString();
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }
}

function messageIn(body: Buffer, status: number): string {
  try {
    const { message } = JSON.parse(body.toString()) as { message?: unknown };
    if (typeof message === 'string') return message;
  } catch {
    // Not the engine's own words.
  }
  return `the engine answers ${status}`;
}
