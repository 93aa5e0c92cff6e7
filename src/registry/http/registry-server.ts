import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import type Koa from 'koa';
import type { Monitoring } from '#observability/monitoring.ts';
import { expectContinue } from './request-body.ts';
import { plainAddress } from './trusted-proxies.ts';

/** A connection on which nothing moves for this long is closed; a sync of a very large blob takes a while. */
const IDLE_TIMEOUT = 10 * 60_000;
/** Longer than Go's clients keep theirs (90 s): the side that closes first must be the one that sends requests. */
const KEEP_ALIVE_TIMEOUT = 120_000;
const HEADERS_TIMEOUT = 30_000;
/** How often connections are looked at for headers that take too long. */
const CHECK_INTERVAL = 5_000;
const HANDSHAKE_TIMEOUT = 10_000;

export interface RegistryServerOptions {
  /** Answers what it knows before the application is asked. */
  readonly monitoring?: Monitoring | undefined;
  /** HTTPS rather than plain HTTP. */
  readonly certificates?: ServerCertificates | undefined;
  /** Whether an address may connect at all. */
  readonly admits?: ((address: string) => boolean) | undefined;
  /** Milliseconds that a request's headers may take, and that nothing may move on a connection. */
  readonly timeouts?: { readonly headers: number; readonly idle: number } | undefined;
}

/** What a server shows and asks for in TLS. */
export interface ServerCertificates {
  /** With a CA, clients have to show a certificate of it. */
  readonly options: SecureContextOptions;
  /** Calls `take` with what replaces it. Connections go on with what they began with. */
  follow(take: (options: SecureContextOptions) => void): void;
}

/** A server for an application that takes bodies of any size. The caller listens and closes. */
export function createRegistryServer(app: Koa, options: RegistryServerOptions = {}): Server {
  const answer = app.callback();
  const { monitoring, certificates, admits } = options;
  const timeouts = options.timeouts ?? { headers: HEADERS_TIMEOUT, idle: IDLE_TIMEOUT };
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    if (!monitoring?.(request, response)) await answer(request, response);
  };
  const limits = {
    // A push takes as long as it takes; what is bounded is the silence on the connection.
    requestTimeout: 0,
    headersTimeout: timeouts.headers,
    connectionsCheckingInterval: Math.min(CHECK_INTERVAL, timeouts.headers),
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
  };
  const listener = (request: IncomingMessage, response: ServerResponse) => void handle(request, response);
  const server = certificates
    ? createSecureServer(certificates, limits, listener)
    : createServer(limits, listener);
  if (admits) {
    server.prependListener('connection', (socket) => {
      if (!admits(plainAddress(socket.remoteAddress ?? ''))) socket.destroy();
    });
  }
  server.setTimeout(timeouts.idle);
  server.on('checkContinue', (request, response) => {
    expectContinue(request);
    void handle(request, response);
  });
  return server;
}

/** TLS 1.2 and 1.3, and HTTP/1.1 in it. */
function createSecureServer(
  certificates: ServerCertificates,
  limits: object,
  listener: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const secured = (options: SecureContextOptions) => ({ ...options, minVersion: 'TLSv1.2' as const });
  const withClients = certificates.options.ca !== undefined;
  const server = createTlsServer(
    {
      ...limits,
      ...secured(certificates.options),
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: HANDSHAKE_TIMEOUT,
      requestCert: withClients,
      rejectUnauthorized: withClients,
    },
    listener,
  );
  certificates.follow((options) => server.setSecureContext(secured(options)));
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
