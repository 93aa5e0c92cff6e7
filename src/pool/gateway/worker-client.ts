import { type IncomingMessage, request } from 'node:http';
import type { Readable } from 'node:stream';
import { tooLarge, unavailable } from '#errors/errors.ts';
import type { Upstream, WorkerAgents } from './worker-agents.ts';

/** What a worker answers that has no engine for who asks: no room for a tenant's disk. */
export const ABSENT = 503;
const MAX_ANSWER = 64 * 1024 * 1024;

export interface Question {
  readonly method?: string;
  /** With the version of the API, and the query. */
  readonly path: string;
  /** JSON, or bytes as they come. */
  readonly body?: unknown | Readable;
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds until the worker counts as away. */
  readonly patience?: number;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  /** Of JSON; undefined for an empty body. */
  // biome-ignore lint/suspicious/noExplicitAny: whatever the Engine API says
  readonly body: any;
}

/** What a gateway itself asks workers for. */
export class WorkerClient {
  readonly #agents: WorkerAgents;

  constructor(agents: WorkerAgents) {
    this.#agents = agents;
  }

  /** Any status is an answer. Throws `unavailable` when there is none. */
  async ask(to: Upstream, question: Question): Promise<Answer> {
    const answer = await this.open(to, question);
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > MAX_ANSWER) throw tooLarge(`worker ${to.name} answers with more than ${MAX_ANSWER} bytes`);
        chunks.push(chunk);
      }
    } catch (cause) {
      throw away(to, cause);
    }
    return { status: answer.statusCode!, body: parse(Buffer.concat(chunks)) };
  }

  /** The answer as it comes; the caller reads or destroys it. Throws `unavailable`. */
  open(
    to: Upstream,
    { method = 'GET', path, body, headers, patience, signal }: Question,
  ): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const isStream = isReadable(body);
    const bytes = body === undefined || isStream ? undefined : Buffer.from(JSON.stringify(body));
    const asking = request({
      agent: this.#agents.of(to),
      method,
      path,
      headers: {
        Host: 'docker',
        ...(bytes && { 'Content-Type': 'application/json', 'Content-Length': bytes.length }),
        ...headers,
        ...to.headers(),
      },
      ...(patience && { timeout: patience }),
      ...(signal && { signal }),
    });
    asking.on('timeout', () => asking.destroy(new Error('it takes too long')));
    asking.on('error', (cause) => reject(away(to, cause)));
    asking.on('response', resolve);
    if (isStream) body.on('error', (error) => asking.destroy(error)).pipe(asking);
    else asking.end(bytes);
    return promise;
  }
}

function away(to: Upstream, cause: unknown) {
  return unavailable(`worker ${to.name} does not answer`, { cause });
}

function isReadable(body: unknown): body is Readable {
  return typeof body === 'object' && body !== null && 'pipe' in body;
}

function parse(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return { message: bytes.toString().slice(0, 1024) };
  }
}
