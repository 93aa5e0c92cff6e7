import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { Duplex } from 'node:stream';
import { invalid, messageOf, SlipwayError, unauthorized, unavailable } from '#errors/errors.ts';
import { fingerprint, serverName } from '../workers/certificates.ts';
import { readJoinToken } from '../workers/join-token.ts';

const GATEWAY = serverName({ name: 'pool', role: 'gateway' });
const TIMEOUT = 10_000;
/** And for who has to reach a worker first. */
const OPEN_TIMEOUT = 30_000;
const MAX_ANSWER = 4 * 1024 * 1024;

const KINDS = {
  400: 'invalid',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not-found',
  409: 'conflict',
} as const;

/** What TLS needs, in PEM. Without key and certificate, one that wants to join. */
export interface Identity {
  readonly key?: string;
  readonly cert?: string;
  readonly ca: string;
}

/** A worker's way to its pool: `https://host:port`, or `unix:///path` (in TLS all the same). */
export class PoolConnection implements Disposable {
  readonly #where: { host: string; port: number } | { socketPath: string };
  #agent: Agent;

  constructor(url: string, identity: Identity) {
    this.#where = whereOf(url);
    this.#agent = agentFor(identity);
  }

  /** The certificate of the pool that a token is for, which is found out by the token's fingerprint. Throws `unauthorized`. */
  static async authorityOf(url: string, token: string): Promise<string> {
    const wanted = readJoinToken(token).fingerprint;
    using connection = new PoolConnection(url, { ca: '' });
    const { certificate } = (await connection.ask('GET', '/authority')) as { certificate?: unknown };
    if (
      typeof certificate === 'string' &&
      isCertificate(certificate) &&
      fingerprint(certificate) === wanted
    ) {
      return certificate;
    }
    throw unauthorized(`the join token is not for the pool at ${url}`);
  }

  /** From now on with another certificate. */
  use(identity: Identity): void {
    this.#agent.destroy();
    this.#agent = agentFor(identity);
  }

  /** Throws `unavailable` when nobody answers, else what the gateway says. */
  ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const asking = request(
      {
        ...this.#where,
        agent: this.#agent,
        method,
        path,
        headers: { Host: GATEWAY, 'Content-Type': 'application/json', ...headers },
        timeout: TIMEOUT,
      },
      (answer) => {
        answerOf(answer).then(resolve, reject);
      },
    );
    asking.on('timeout', () => asking.destroy(new Error('timeout')));
    asking.on('error', (cause) => reject(notAnswered(cause)));
    asking.end(body === undefined ? undefined : JSON.stringify(body));
    return promise;
  }

  /** A connection that goes on as HTTP/2, to whom the gateway hands it on. Throws as `ask`. */
  open(
    path: string,
    { headers, signal }: { headers: Readonly<Record<string, string | string[]>>; signal: AbortSignal },
  ): Promise<Duplex> {
    const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
    const asking = request({
      ...this.#where,
      agent: this.#agent,
      method: 'POST',
      path,
      headers: { Host: GATEWAY, ...headers, Connection: 'Upgrade', Upgrade: 'h2c' },
      signal,
    });
    // Until it is open: what goes through it then may well be silent.
    const late = setTimeout(() => asking.destroy(new Error('timeout')), OPEN_TIMEOUT);
    asking.once('close', () => clearTimeout(late));
    asking.once('upgrade', (_answer, socket, head) => {
      clearTimeout(late);
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    asking.once('response', (answer) => {
      const nobody = () => reject(unavailable('the pool handed the connection on to nobody'));
      answerOf(answer).then(nobody, reject);
    });
    asking.on('error', (cause) => reject(notAnswered(cause)));
    asking.end();
    return promise;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

function whereOf(url: string): { host: string; port: number } | { socketPath: string } {
  if (url.startsWith('unix://')) return { socketPath: url.slice('unix://'.length) };
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 443) };
}

function agentFor({ ca, ...own }: Identity): Agent {
  const trust = ca === '' ? { rejectUnauthorized: false } : { ca };
  return new Agent({ ...own, ...trust, servername: GATEWAY, keepAlive: true, minVersion: 'TLSv1.3' });
}

function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).ca;
  } catch {
    return false;
  }
}

async function answerOf(answer: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_ANSWER) throw new Error('the answer is too long');
      chunks.push(chunk);
    }
  } catch (cause) {
    throw notAnswered(cause);
  }
  return readAnswer(answer.statusCode!, Buffer.concat(chunks));
}

function notAnswered(cause: unknown): SlipwayError {
  return unavailable(`the pool does not answer: ${messageOf(cause)}`, { cause });
}

function readAnswer(status: number, bytes: Buffer): unknown {
  let body: { message?: unknown };
  try {
    body = JSON.parse(bytes.toString());
  } catch (cause) {
    throw invalid('the pool answers with something else than JSON', { cause });
  }
  if (status === 200) return body;
  const message = `the pool says: ${String(body.message)}`;
  const kind = KINDS[status as keyof typeof KINDS] ?? 'unavailable';
  throw new SlipwayError(kind, message);
}
