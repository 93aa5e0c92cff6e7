import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import Koa from 'koa';
import type { Logger } from 'pino';
import { systemCode } from '#errors/errors.ts';
import { letGoOfBody } from './body.ts';
import { errorResponse } from './errors.ts';
import { registerUpgrade } from './hijack.ts';
import { compareVersions, type EngineRouter, type EngineState } from './router.ts';

/** Docker 28's API. 1.52 drops fields that clients without a version still read; so it is not offered. */
export const API_VERSION = '1.51';
/** Raising it broke clients when others did. */
export const MIN_API_VERSION = '1.24';

const VERSION_PREFIX = /^\/v(\d+\.\d+)(?=\/|$)/;

/**
 * An HTTP server for the Docker Engine API, not yet listening. Paths may begin with `/v1.NN`; routes are
 * written without it. `observed` is told of every request.
 */
export function createEngineServer(
  router: EngineRouter,
  log: Logger,
  observed?: Koa.Middleware<EngineState>,
): Server {
  const app = new Koa<EngineState>();
  if (observed) app.use(observed);
  app.use(identify(log));
  app.use(router.routes());
  app.use(async (ctx) => {
    ctx.status = 404;
    ctx.body = { message: 'page not found' };
  });
  app.on('error', (error: unknown) => log.debug({ err: error }, 'connection error'));

  const handle = app.callback();
  const server = createServer(
    { requestTimeout: 0, headersTimeout: 30_000, keepAliveTimeout: 60_000 },
    (req, res) => {
      void handle(req, res);
    },
  );
  server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    registerUpgrade(req, socket, head);
    const res = new ServerResponse(req);
    res.assignSocket(socket as never);
    res.shouldKeepAlive = false;
    // An upgrade that is answered without one (an error) ends its connection.
    res.on('finish', () => socket.end());
    socket.on('error', () => socket.destroy());
    void handle(req, res);
  });
  return server;
}

/** Names the request, checks and strips the version, sets the headers of every reply, and maps errors. */
function identify(log: Logger): Koa.Middleware<EngineState> {
  return async (ctx, next) => {
    ctx.state.requestId = randomUUID();
    ctx.state.apiVersion = API_VERSION;
    ctx.set('Api-Version', API_VERSION);
    ctx.set('Docker-Experimental', 'false');
    ctx.set('Ostype', 'linux');
    ctx.set('Server', 'Slipway (linux)');
    try {
      const prefix = VERSION_PREFIX.exec(ctx.path);
      if (prefix) {
        const refusal = refuseVersion(prefix[1]!);
        if (refusal) {
          ctx.status = 400;
          ctx.body = { message: refusal };
          return;
        }
        ctx.state.apiVersion = prefix[1]!;
        ctx.path = ctx.path.slice(prefix[0].length) || '/';
      }
      await next();
    } catch (error) {
      // Whoever broke off in mid-request wants no answer, and nothing failed here.
      if (systemCode(error) === 'ECONNRESET' && ctx.req.socket.destroyed) {
        ctx.res.destroy();
        return;
      }
      const { status, message } = errorResponse(error, ctx.state.requestId, log);
      if (ctx.headerSent || ctx.respond === false) {
        ctx.res.destroy();
        return;
      }
      ctx.status = status;
      ctx.body = status === 304 ? null : { message };
    } finally {
      if (ctx.respond !== false) letGoOfBody(ctx.req);
      // The CLI reads an error's message only out of exactly this type, without a charset.
      if (!ctx.headerSent && ctx.response.is('json')) ctx.set('Content-Type', 'application/json');
      log.debug({ method: ctx.method, path: ctx.path, status: ctx.status }, 'request');
    }
  };
}

function refuseVersion(version: string): string | undefined {
  if (compareVersions(version, API_VERSION) > 0) {
    return `client version ${version} is too new. Maximum supported API version is ${API_VERSION}`;
  }
  if (compareVersions(version, MIN_API_VERSION) < 0) {
    return `client version ${version} is too old. Minimum supported API version is ${MIN_API_VERSION}, please upgrade your client to a newer version`;
  }
  return undefined;
}
