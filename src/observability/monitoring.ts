import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Health } from './health.ts';
import type { PrometheusMetrics } from './prometheus-metrics.ts';

export interface MonitoringOptions {
  readonly health: Health;
  readonly metrics: Pick<PrometheusMetrics, 'text' | 'contentType'>;
  /** The bearer token that opens the metrics to others than this machine; undefined when none does. */
  readonly token?: string | undefined;
  /** What a readiness check that failed has to say: for the log, not for whoever asks. */
  onNotReady(checks: Readonly<Record<string, string>>): void;
}

/** Answers a request if it is one for `/healthz`, `/readyz` or `/metrics`; says whether it was. */
export type Monitoring = (request: IncomingMessage, response: ServerResponse) => boolean;

export function createMonitoring(options: MonitoringOptions): Monitoring {
  const answers: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>> = {
    '/healthz': (_request, response) => send(response, 200, 'text/plain; charset=utf-8', 'ok\n'),
    '/readyz': (_request, response) => void readyz(response, options),
    '/metrics': (request, response) => void metrics(request, response, options),
  };
  return (request, response) => {
    const [path] = (request.url ?? '').split('?', 1);
    const answer = Object.hasOwn(answers, path!) ? answers[path!] : undefined;
    if (!answer) return false;
    if (request.method === 'GET' || request.method === 'HEAD') answer(request, response);
    else send(response, 405, 'text/plain; charset=utf-8', 'GET or HEAD\n', { Allow: 'GET, HEAD' });
    return true;
  };
}

async function readyz(response: ServerResponse, { health, onNotReady }: MonitoringOptions): Promise<void> {
  const { ready, checks } = await health.readiness();
  if (!ready) onNotReady(checks);
  const shown = Object.entries(checks).map(([name, state]) => [name, state === 'ok' ? 'ok' : 'failed']);
  const body = `${JSON.stringify({ ready, checks: Object.fromEntries(shown) })}\n`;
  send(response, ready ? 200 : 503, 'application/json', body, ready ? {} : { 'Retry-After': '5' });
}

async function metrics(
  request: IncomingMessage,
  response: ServerResponse,
  options: MonitoringOptions,
): Promise<void> {
  if (!mayRead(request, options.token)) {
    send(response, 403, 'text/plain; charset=utf-8', 'metrics are for this machine or a bearer token\n');
    return;
  }
  try {
    send(response, 200, options.metrics.contentType, await options.metrics.text());
  } catch {
    send(response, 500, 'text/plain; charset=utf-8', 'metrics cannot be read\n');
  }
}

/** Whoever has the token; or a process of this machine, unless it is a proxy that passes on what others ask. */
function mayRead(request: IncomingMessage, token: string | undefined): boolean {
  const { headers, socket } = request;
  const [, given] = /^Bearer (.+)$/i.exec(headers.authorization ?? '') ?? [];
  if (token !== undefined && given !== undefined) return same(given, token);
  const forwarded = headers.forwarded ?? headers['x-forwarded-for'] ?? headers.via;
  return forwarded === undefined && isLoopback(socket.remoteAddress ?? '');
}

function same(given: string, expected: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(expected));
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    ...headers,
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
