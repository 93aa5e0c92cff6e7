import type { Context, Next } from 'koa';
import type { Logger } from 'pino';
import { type ErrorKind, isKind, SlipwayError, systemCode } from '#errors/errors.ts';
import { letGoOfBody } from './request-body.ts';
import { requestIdOf } from './request-id.ts';

/** Status and code of each error kind; an error that carries a code of the specification keeps that. */
const KINDS: Readonly<Record<ErrorKind, readonly [status: number, code: string]>> = {
  'not-found': [404, 'NAME_UNKNOWN'],
  conflict: [409, 'DENIED'],
  invalid: [400, 'UNSUPPORTED'],
  unauthorized: [401, 'UNAUTHORIZED'],
  forbidden: [403, 'DENIED'],
  unavailable: [503, 'UNAVAILABLE'],
  'too-large': [413, 'SIZE_INVALID'],
  'too-many': [429, 'TOOMANYREQUESTS'],
  range: [416, 'SIZE_INVALID'],
  unsupported: [405, 'UNSUPPORTED'],
  'not-modified': [304, 'UNSUPPORTED'],
  precondition: [412, 'DENIED'],
  timeout: [408, 'SIZE_INVALID'],
  canceled: [499, 'UNAVAILABLE'],
};

/** Turns what is thrown into the Distribution API's error bodies (OCI distribution-spec, "Error Codes"). */
export function errorBodies(logger: Logger) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next();
    } catch (error) {
      if (ctx.res.headersSent || ctx.res.destroyed) breakOff(ctx, error, logger);
      else answer(ctx, error, logger);
    }
    letGoOfBody(ctx);
  };
}

/** Says when to come again, where the error knows. */
export function setRetryAfter(ctx: Context, error: SlipwayError): void {
  const { retryAfter } = (error.detail ?? {}) as { retryAfter?: unknown };
  if (typeof retryAfter === 'number') ctx.set('Retry-After', String(retryAfter));
}

export function sendError(
  ctx: Context,
  status: number,
  code: string,
  message: string,
  detail?: unknown,
): void {
  ctx.status = status;
  ctx.body = { errors: [{ code, message, detail }] };
}

function answer(ctx: Context, error: unknown, logger: Logger): void {
  if (error instanceof SlipwayError) {
    const [status, code] = KINDS[error.kind];
    setRetryAfter(ctx, error);
    const ours = status >= 500 || (status === 404 && error.cause !== undefined);
    if (ours) logger.warn({ err: error, ...named(ctx) }, error.message);
    // The specification leaves no place beside the errors; the header has the id of every answer.
    const detail = status >= 500 ? { requestId: requestIdOf(ctx) } : error.detail;
    sendError(ctx, status, error.code ?? code, error.message, detail);
    return;
  }
  logger.error({ err: error, ...named(ctx) }, 'request failed');
  sendError(ctx, 500, 'UNKNOWN', 'internal error', { requestId: requestIdOf(ctx) });
}

/** How a line of the log says which request it is about. */
function named(ctx: Context) {
  return { requestId: requestIdOf(ctx), method: ctx.method, path: ctx.path };
}

/** Too late for an error body: the client sees that the answer is not whole. */
function breakOff(ctx: Context, error: unknown, logger: Logger): void {
  ctx.respond = false;
  ctx.res.destroy();
  if (isKind(error, 'canceled') || isClientGone(error)) return;
  logger.error({ err: error, ...named(ctx) }, 'answer broken off');
}

/** How Node tells of a connection that ended in the middle of a request or an answer, in an orderly way or not. */
const GONE = new Set(['ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'HPE_INVALID_EOF_STATE']);

/** Whether it is the client's leaving that an error tells of: nobody's fault, and in the access log. */
export function isClientGone(error: unknown): boolean {
  return GONE.has(systemCode(error) ?? '');
}
