import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type Koa from 'koa';
import type { Monitoring } from '#observability/monitoring.ts';
import { expectContinue } from './request-body.ts';

/** A connection on which nothing moves for this long is closed; a sync of a very large blob takes a while. */
const IDLE_TIMEOUT = 10 * 60_000;
/** Longer than Go's clients keep theirs (90 s): the side that closes first must be the one that sends requests. */
const KEEP_ALIVE_TIMEOUT = 120_000;
const HEADERS_TIMEOUT = 30_000;

/**
 * An HTTP server for an application that takes bodies of any size. `monitoring` answers what it knows before the
 * application is asked. The caller listens and closes.
 */
export function createRegistryServer(
  app: Koa,
  options: { monitoring?: Monitoring | undefined } = {},
): Server {
  const answer = app.callback();
  const { monitoring } = options;
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    if (!monitoring?.(request, response)) await answer(request, response);
  };
  const server = createServer(
    {
      // A push takes as long as it takes; what is bounded is the silence on the connection.
      requestTimeout: 0,
      headersTimeout: HEADERS_TIMEOUT,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
    },
    (request, response) => void handle(request, response),
  );
  server.setTimeout(IDLE_TIMEOUT);
  server.on('checkContinue', (request, response) => {
    expectContinue(request);
    void handle(request, response);
  });
  return server;
}

/** How often connections are looked for whose last request has ended. */
const CLOSE_INTERVAL = 25;

/** Stops taking connections, lets requests under way end, and after `grace` milliseconds breaks them off. */
export async function closeServer(server: Server, grace: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const closeIdle = setInterval(() => server.closeIdleConnections(), CLOSE_INTERVAL);
  const breakOff = setTimeout(() => server.closeAllConnections(), grace);
  await closed;
  clearInterval(closeIdle);
  clearTimeout(breakOff);
}
