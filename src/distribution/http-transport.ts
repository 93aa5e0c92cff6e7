import http from 'node:http';
import https from 'node:https';
import type { LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import { canceled, isKind, messageOf, systemCode, unavailable } from '#errors/errors.ts';
import { sendBody } from './send-body.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called again when the request has to be sent again. */
  readonly body?: () => Uint8Array | AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>;
  readonly signal?: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** Where redirects led to. */
  readonly url: URL;
  /** To be read to its end, or destroyed. */
  readonly body: Readable;
}

export interface HttpTransportOptions {
  /** Without any byte in either direction. */
  readonly idleTimeoutMs?: number;
  readonly userAgent?: string;
  /**
   * Asked before each request, also of redirects and token servers: throws for what is out of bounds, and answers how a name
   * is resolved, if not as usual.
   */
  readonly targets?: (url: URL) => { readonly lookup?: LookupFunction };
}

const MAX_REDIRECTS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/**
 * HTTP/1.1 with connections that are kept, redirects followed, and credentials that never follow them to another
 * origin. Failures of the network are `unavailable` and say which request they were of.
 */
export class HttpTransport implements Disposable {
  readonly #idleTimeoutMs: number;
  readonly #userAgent: string;
  readonly #targets: NonNullable<HttpTransportOptions['targets']>;
  readonly #plain = new http.Agent({ keepAlive: true, maxSockets: 32 });
  readonly #tls = new https.Agent({ keepAlive: true, maxSockets: 32 });

  constructor(options: HttpTransportOptions = {}) {
    this.#idleTimeoutMs = options.idleTimeoutMs ?? 120_000;
    this.#userAgent = options.userAgent ?? 'slipway';
    this.#targets = options.targets ?? (() => ({}));
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    let current = request;
    for (let hops = 0; ; hops++) {
      const response = await this.#send(current);
      const location = response.headers.location;
      const redirected = REDIRECTS.has(response.status) && location !== undefined;
      // Only reads are redirected: an upload's Location means something else.
      if (!redirected || (request.method !== 'GET' && request.method !== 'HEAD')) return response;
      response.body.resume();
      if (hops >= MAX_REDIRECTS) throw unavailable(`${describe(request)}: stopped after ${hops} redirects`);
      current = redirect(current, response.url, location);
    }
  }

  [Symbol.dispose](): void {
    this.#plain.destroy();
    this.#tls.destroy();
  }

  async #send(request: HttpRequest): Promise<HttpResponse> {
    if (request.signal?.aborted) throw canceled();
    const { lookup } = this.#targets(request.url);
    const body = await request.body?.();
    const fixed = body instanceof Uint8Array ? body : undefined;
    const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
    const secure = request.url.protocol === 'https:';
    const sent = (secure ? https : http).request(request.url, {
      method: request.method,
      agent: secure ? this.#tls : this.#plain,
      headers: {
        'user-agent': this.#userAgent,
        ...(fixed && { 'content-length': String(fixed.length) }),
        ...request.headers,
      },
      timeout: this.#idleTimeoutMs,
      ...(lookup && { lookup }),
      ...(request.signal && { signal: request.signal }),
    });
    const failed = (cause: unknown) => asUnavailable(request, cause);
    sent.on('timeout', () => sent.destroy(new Error(`no data for ${this.#idleTimeoutMs / 1000} seconds`)));
    sent.on('error', (error) => reject(failed(error)));
    sent.on('response', (message) => {
      resolve({ status: message.statusCode ?? 0, headers: message.headers, url: request.url, body: message });
    });
    if (body === undefined || body instanceof Uint8Array) sent.end(body);
    else {
      sendBody(sent, body).catch((error: Error) => {
        reject(error);
        sent.destroy(error);
      });
    }
    return promise;
  }
}

function redirect(request: HttpRequest, from: URL, location: string): HttpRequest {
  const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw unavailable(`${describe(request)}: redirected to an invalid location`);
  }
  if (url.origin === from.origin) return { ...request, url };
  const headers = Object.fromEntries(
    Object.entries(request.headers ?? {}).filter(([name]) => name.toLowerCase() !== 'authorization'),
  );
  return { ...request, url, headers };
}

export function asUnavailable(
  request: Pick<HttpRequest, 'method' | 'url' | 'signal'>,
  cause: unknown,
): Error {
  if (request.signal?.aborted) return canceled();
  // By `targets`: another try makes no difference.
  if (isKind(cause, 'forbidden')) return cause;
  const code = systemCode(cause);
  const why = connectionFailure(cause) ?? (messageOf(cause) || code);
  return unavailable(`${describe(request)}: ${why}`, { cause, ...(code && { code }) });
}

/** Why nobody was reached, in Go's words: scripts look for them. */
function connectionFailure(cause: unknown): string | undefined {
  const { address, port, hostname } = cause as { address?: string; port?: number; hostname?: string };
  switch (systemCode(cause)) {
    case 'ECONNREFUSED':
      return address && `dial tcp ${address}:${port}: connect: connection refused`;
    case 'EHOSTUNREACH':
      return address && `dial tcp ${address}:${port}: connect: no route to host`;
    case 'ENOTFOUND':
      return hostname && `dial tcp: lookup ${hostname}: no such host`;
    default:
      return undefined;
  }
}

/** As Go prints a failed request: `Get "http://127.0.0.1:5000/v2/"`. */
function describe(request: Pick<HttpRequest, 'method' | 'url'>): string {
  const method = request.method[0] + request.method.slice(1).toLowerCase();
  return `${method} "${request.url.origin}${request.url.pathname}"`;
}
