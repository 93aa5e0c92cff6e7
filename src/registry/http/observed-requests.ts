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

/** What a connection had moved when its last request ended. */
const moved = new WeakMap<Socket, { read: number; written: number }>();

/**
 * Gives every request its id, and tells of each one that has ended: in the metrics, in the access log and in the
 * trace that it belongs to. The first of all middleware.
 */
export function observedRequests(options: ObservedRequestsOptions) {
  const { logger, tracer, accessLog } = options;
  const count = counting(options.metrics);
  const logged = accessLog !== 'off' && logger.isLevelEnabled(accessLog);
  return (ctx: Context, next: Next): Promise<void> => {
    const started = performance.now();
    const { req, res } = ctx;
    const requestId = requestIdFrom(req.headers['x-request-id']);
    ctx.state.requestId = requestId;
    res.setHeader('X-Request-Id', requestId);
    const socket = req.socket;
    const route = routeName(ctx.path);
    let traceId: string | undefined;
    count.began();
    res.once('close', () => {
      const ms = performance.now() - started;
      const bytes = bytesSince(socket);
      count.ended({ route, method: ctx.method, status: res.statusCode, ms, bytes });
      if (logged) logger[accessLog](accessLine(ctx, { ms, bytes, traceId }), 'request');
    });
    return tracer.request(`${ctx.method} ${route}`, req.headers, async (span) => {
      traceId = span.traceId;
      await next();
      describe(span, ctx, route);
    });
  };
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

function accessLine(ctx: Context, ended: { ms: number; bytes: Moved; traceId: string | undefined }) {
  const { req, res } = ctx;
  const { access } = ctx.state as { access?: { principal: string } };
  return {
    requestId: requestIdOf(ctx),
    method: ctx.method,
    // Without its query: some have credentials in it.
    path: ctx.path,
    status: res.statusCode,
    ms: Math.round(ended.ms * 100) / 100,
    bytesIn: ended.bytes.in,
    bytesOut: ended.bytes.out,
    address: ctx.ip,
    principal: access?.principal,
    userAgent: req.headers['user-agent'],
    ...(res.writableFinished ? {} : { brokenOff: true }),
    ...(ended.traceId && { traceId: ended.traceId }),
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
