import { createServer, type Server } from 'node:http';
import type Koa from 'koa';
import { expectContinue } from './request-body.ts';

/** A connection on which nothing moves for this long is closed; a sync of a very large blob takes a while. */
const IDLE_TIMEOUT = 10 * 60_000;
/** Longer than Go's clients keep theirs (90 s): the side that closes first must be the one that sends requests. */
const KEEP_ALIVE_TIMEOUT = 120_000;
const HEADERS_TIMEOUT = 30_000;

/** An HTTP server for an application that takes bodies of any size. The caller listens and closes. */
export function createRegistryServer(app: Koa): Server {
  const handle = app.callback();
  const server = createServer(
    {
      // A push takes as long as it takes; what is bounded is the silence on the connection.
      requestTimeout: 0,
      headersTimeout: HEADERS_TIMEOUT,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
    },
    handle,
  );
  server.setTimeout(IDLE_TIMEOUT);
  server.on('checkContinue', (request, response) => {
    expectContinue(request);
    void handle(request, response);
  });
  return server;
}

/** Stops taking connections, lets requests under way end, and after `grace` milliseconds breaks them off. */
export async function closeServer(server: Server, grace: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const breakOff = setTimeout(() => server.closeAllConnections(), grace);
  await closed;
  clearTimeout(breakOff);
}
