import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import type { ClientHost } from '#config/client-environment.ts';
import { unavailable } from '#errors/errors.ts';
import { type EngineAddress, requestTo } from '#worker/buildkit/client/connection.ts';
import { Refusal } from '../refusal.ts';

type Source = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

const MAX_REFUSAL_BYTES = 64 * 1024;

/** As Node's HTTP takes it. */
export function engineAddress(host: ClientHost): EngineAddress {
  return 'path' in host ? { socketPath: host.path } : host;
}

/** A worker's own API, below `/api/v1`. */
export class WorkerApi {
  readonly #address: EngineAddress;

  constructor(host: ClientHost) {
    this.#address = engineAddress(host);
  }

  /** What a path answers. Throws `Refusal` with what the worker says, `unavailable` when none answers. */
  async get<T>(path: string, options: { signal?: AbortSignal } = {}): Promise<T> {
    const response = await this.#send('GET', path, options);
    return JSON.parse(await textOf(response)) as T;
  }

  async send(method: 'POST' | 'DELETE', path: string): Promise<void> {
    (await this.#send(method, path, {})).resume();
  }

  /** Sends JSON, or bytes as they come, and answers what the worker makes of it. */
  async post<T>(
    path: string,
    body: object | AsyncIterable<Uint8Array>,
    options: { signal?: AbortSignal } = {},
  ): Promise<T> {
    const bytes = Symbol.asyncIterator in body;
    const source = bytes ? body : [Buffer.from(JSON.stringify(body))];
    const type = bytes ? 'application/octet-stream' : 'application/json';
    const response = await this.#send('POST', path, { ...options, source, type });
    return JSON.parse(await textOf(response)) as T;
  }

  async put<T>(path: string, body: object, options: { signal?: AbortSignal } = {}): Promise<T> {
    const source = [Buffer.from(JSON.stringify(body))];
    const response = await this.#send('PUT', path, { ...options, source, type: 'application/json' });
    return JSON.parse(await textOf(response)) as T;
  }

  /** The lines that a path answers, as they come. */
  async *lines<T>(path: string, options: { signal?: AbortSignal } = {}): AsyncGenerator<T> {
    const response = await this.#send('GET', path, options);
    for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
      yield JSON.parse(line) as T;
    }
    if (!response.complete) throw unavailable('the worker broke off');
  }

  async #send(
    method: string,
    path: string,
    { signal, source, type }: { signal?: AbortSignal; source?: Source; type?: string },
  ): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const headers = type === undefined ? {} : { 'content-type': type };
    const options = { method, path: `/api/v1${path}`, agent: false, signal, headers } as const;
    const sent = requestTo(this.#address, options).once('response', resolve);
    sent.once('error', (cause) => reject(unavailable(`no worker answers: ${cause.message}`, { cause })));
    // A worker that refuses what is being sent says why, and does not wait for the rest.
    if (source) pipeline(source, sent).catch(reject);
    else sent.end();
    const response = await promise;
    if (response.statusCode! < 400) return response;
    throw new Refusal(refusalOf(response, await textOf(response, MAX_REFUSAL_BYTES)));
  }
}

function refusalOf({ statusCode }: IncomingMessage, text: string): string {
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    if (typeof detail === 'string') return detail;
  } catch {
    // It is not our worker's.
  }
  return `the worker answers ${statusCode}`;
}

async function textOf(response: IncomingMessage, maxBytes = Number.POSITIVE_INFINITY): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= maxBytes) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
