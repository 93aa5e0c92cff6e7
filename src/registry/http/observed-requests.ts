import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Context, Next } from 'koa';
import type { Logger } from 'pino';
import { type Metrics, SECONDS } from '#observability/metrics.ts';
import { requestIdFrom } from '#observability/request-id.ts';
import type { Span, Tracer } from '#observability/tracer.ts';
import { requestIdOf } from './request-id.ts';
import { routeName } from './route-name.ts';

export interface ObservedRequestsOptions {
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracer: Tracer;
  /** At which level each request is logged when it has ended; `off` for not at all. */
  readonly accessLog: 'trace' | 'debug' | 'info' | 'off';
}

/** What is told of a request when it has ended. */
export interface ObservedRequest {
  readonly method: string;
  /** Without its query: some have credentials in it. */
  readonly path: string;
  readonly route: string;
  readonly requestId: string;
  /** Of the trace that it belongs to. */
  readonly traceId?: string | undefined;
  /** Where it came from, and who sent it if that was found out. */
  readonly ip: string;
  readonly principal?: string | undefined;
}

/** What a connection had moved when its last request ended. */
const moved = new WeakMap<Socket, { read: number; written: number }>();

/** Tells of each request that has ended: in the metrics and in the access log. */
export class RequestObserver {
  readonly #count: ReturnType<typeof counting>;
  readonly #log: ((line: object) => void) | undefined;

  constructor({ logger, metrics, accessLog }: Omit<ObservedRequestsOptions, 'tracer'>) {
    this.#count = counting(metrics);
    if (accessLog !== 'off' && logger.isLevelEnabled(accessLog)) {
      this.#log = (line) => logger[accessLog](line, 'request');
    }
  }

  /** To be called once a request, which began at `started` (`performance.now()`); `request` is read when it has ended. */
  watch(request: ObservedRequest, response: ServerResponse, started: number): void {
    const socket = response.req.socket;
    const { method, route } = request;
    this.#count.began();
    response.once('close', () => {
      const ms = performance.now() - started;
      const bytes = bytesSince(socket);
      this.#count.ended({ route, method, status: response.statusCode, ms, bytes });
      this.#log?.(accessLine(request, response, { ms, bytes }));
    });
  }
}

/**
 * Gives every request its id, and has it told of: by the observer, and in the trace that it belongs to. The first of
 * all middleware.
 */
export function observedRequests(observer: RequestObserver, tracer: Tracer) {
  return (ctx: Context, next: Next): Promise<void> => {
    const started = performance.now();
    const { req, res } = ctx;
    const requestId = requestIdFrom(req.headers['x-request-id']);
    ctx.state.requestId = requestId;
    res.setHeader('X-Request-Id', requestId);
    const route = routeName(ctx.path);
    const request = new RequestOfContext(ctx, route, requestId);
    observer.watch(request, res, started);
    return tracer.request(`${ctx.method} ${route}`, req.headers, async (span) => {
      request.traceId = span.traceId;
      await next();
      describe(span, ctx, route);
    });
  };
}

/** What is found out of a request on its way is there when it has ended. */
class RequestOfContext implements ObservedRequest {
  readonly #ctx: Context;
  readonly route: string;
  readonly requestId: string;
  traceId: string | undefined;

  constructor(ctx: Context, route: string, requestId: string) {
    this.#ctx = ctx;
    this.route = route;
    this.requestId = requestId;
  }

  get method(): string {
    return this.#ctx.method;
  }

  get path(): string {
    return this.#ctx.path;
  }

  get ip(): string {
    return this.#ctx.ip;
  }

  get principal(): string | undefined {
    return (this.#ctx.state as { access?: { principal: string } }).access?.principal;
  }
}

interface Moved {
  readonly in: number;
  readonly out: number;
}

/** One at a time a connection: requests of HTTP/1.1 follow each other. */
function bytesSince(socket: Socket): Moved {
  const { bytesRead: read, bytesWritten: written } = socket;
  const before = moved.get(socket);
  moved.set(socket, { read, written });
  return { in: read - (before?.read ?? 0), out: written - (before?.written ?? 0) };
}

function counting(metrics: Metrics) {
  const duration = metrics.histogram({
    name: 'slipway_http_request_duration_seconds',
    help: 'Requests from their first byte to the end of their answers.',
    labels: ['route', 'method', 'status'],
    buckets: SECONDS,
  });
  const transferred = metrics.counter({
    name: 'slipway_http_transferred_bytes_total',
    help: 'Bytes that came with requests (in) and went with answers (out), headers included.',
    labels: ['direction'],
  });
  const uploads = metrics.counter({
    name: 'slipway_uploads_total',
    help: 'Uploads of blobs by what became of them: begun, finished, cancelled, failed.',
    labels: ['state'],
  });
  let underWay = 0;
  metrics.gauge({
    name: 'slipway_http_requests_under_way',
    help: 'Requests that are being answered.',
    read: () => underWay,
  });
  return {
    began() {
      underWay++;
    },
    ended(request: { route: string; method: string; status: number; ms: number; bytes: Moved }) {
      underWay--;
      const { route, ms, bytes } = request;
      const status = STATUS_CLASSES[Math.floor(request.status / 100)] ?? 'other';
      const method = METHODS.has(request.method) ? request.method : 'other';
      duration.observe({ route, method, status }, ms / 1000);
      if (bytes.in > 0) transferred.add({ direction: 'in' }, bytes.in);
      if (bytes.out > 0) transferred.add({ direction: 'out' }, bytes.out);
      const state = route === 'upload' ? uploadState(method, request.status) : undefined;
      if (state !== undefined) uploads.add({ state });
    },
  };
}

/** What an answer says of an upload, if it begins or ends one. */
function uploadState(method: string, status: number): string | undefined {
  if (method === 'POST' && status === 202) return 'begun';
  if (status === 201) return method === 'PUT' || method === 'POST' ? 'finished' : undefined;
  if (method === 'DELETE') return status === 204 ? 'cancelled' : undefined;
  return method === 'PUT' && status >= 400 ? 'failed' : undefined;
}

const STATUS_CLASSES = ['other', '1xx', '2xx', '3xx', '4xx', '5xx'];
const METHODS = new Set(['GET', 'HEAD', 'PUT', 'PATCH', 'POST', 'DELETE']);

function accessLine(request: ObservedRequest, response: ServerResponse, ended: { ms: number; bytes: Moved }) {
  return {
    requestId: request.requestId,
    method: request.method,
    path: request.path,
    status: response.statusCode,
    ms: Math.round(ended.ms * 100) / 100,
    bytesIn: ended.bytes.in,
    bytesOut: ended.bytes.out,
    address: request.ip,
    principal: request.principal,
    userAgent: response.req.headers['user-agent'],
    ...(response.writableFinished ? {} : { brokenOff: true }),
    ...(request.traceId && { traceId: request.traceId }),
  };
}

function describe(span: Span, ctx: Context, route: string): void {
  const status = ctx.respond === false ? ctx.res.statusCode : ctx.status;
  if (span.traceId === undefined) return;
  span.set({
    'http.request.method': ctx.method,
    'http.route': route,
    'url.path': ctx.path,
    'http.response.status_code': status,
    'slipway.request_id': requestIdOf(ctx) ?? '',
  });
  if (status >= 500) span.fail(`status ${status}`);
}
