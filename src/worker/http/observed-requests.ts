import type { Middleware } from 'koa';
import { type Metrics, SECONDS } from '#observability/metrics.ts';
import type { Tracer } from '#observability/tracer.ts';
import type { EngineState } from './router.ts';

const METHODS = new Set(['GET', 'HEAD', 'PUT', 'POST', 'DELETE']);
const STATUS_CLASSES = ['other', '1xx', '2xx', '3xx', '4xx', '5xx'];

/**
 * Counts the requests that have ended, and those that have not, and has each in the trace that it belongs to. One that
 * was hijacked ends with its connection.
 */
export function observedRequests({
  metrics,
  tracer,
}: {
  metrics: Metrics;
  tracer: Tracer;
}): Middleware<EngineState> {
  const duration = metrics.histogram({
    name: 'slipway_http_request_duration_seconds',
    help: 'Requests from their first byte to the end of their answers, of the Engine API.',
    labels: ['route', 'method', 'status'],
    buckets: SECONDS,
  });
  let underWay = 0;
  metrics.gauge({
    name: 'slipway_http_requests_under_way',
    help: 'Requests that are being answered.',
    read: () => underWay,
  });
  return async (ctx, next) => {
    const started = performance.now();
    underWay++;
    ctx.res.once('close', () => {
      underWay--;
      const route = routeOf((ctx as { _matchedRoute?: string | RegExp })._matchedRoute);
      const method = METHODS.has(ctx.method) ? ctx.method : 'other';
      const status = STATUS_CLASSES[Math.floor(ctx.res.statusCode / 100)] ?? 'other';
      duration.observe({ route, method, status }, (performance.now() - started) / 1000);
    });
    await tracer.request(`${ctx.method} ${subjectOf(ctx.path)}`, ctx.req.headers, async (span) => {
      await next();
      const status = ctx.respond === false ? ctx.res.statusCode : ctx.status;
      span.set({
        'http.request.method': ctx.method,
        'url.path': ctx.path,
        'http.response.status_code': status,
      });
      if (status >= 500) span.fail(`status ${status}`);
    });
  };
}

/** About as the API's documentation writes it: `/containers/{name}/start`. */
function routeOf(matched: string | RegExp | undefined): string {
  if (matched === undefined) return 'other';
  if (typeof matched === 'string') return matched.replaceAll(/:(\w+)/g, '{$1}');
  const { source } = matched;
  return source
    .replaceAll('\\/', '/')
    .replaceAll(/\([^)]*\)/g, '{name}')
    .replaceAll(/[\^$]/g, '');
}

/** What a path is about, in a word: `containers`, `images`. */
function subjectOf(path: string): string {
  return /^(?:\/v[\d.]+)?\/([a-z_]+)/.exec(path)?.[1] ?? '';
}
