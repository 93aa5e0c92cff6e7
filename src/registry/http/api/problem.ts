import { STATUS_CODES } from 'node:http';
import type { Context, Next } from 'koa';
import type { Logger } from 'pino';
import { z } from 'zod';
import { type ErrorKind, SlipwayError } from '#errors/errors.ts';
import { setRetryAfter } from '../errors.ts';
import { letGoOfBody } from '../request-body.ts';
import { requestIdOf } from '../request-id.ts';

const STATUS: Readonly<Record<ErrorKind, number>> = {
  'not-found': 404,
  conflict: 409,
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  unavailable: 503,
  'too-large': 413,
  'too-many': 429,
  range: 416,
  unsupported: 405,
  'not-modified': 304,
  precondition: 412,
  timeout: 408,
  canceled: 499,
};

/** An error of the admin API (RFC 9457), of type `application/problem+json`. */
export const problemSchema = z
  .object({
    type: z.literal('about:blank'),
    title: z.string().describe('What the status means.'),
    status: z.int(),
    detail: z.string().describe('What went wrong, for people.'),
    code: z.string().describe('What went wrong, for programs.'),
    errors: z
      .array(z.object({ in: z.string(), path: z.string(), message: z.string() }))
      .optional()
      .describe('Each part of the request that is not as it has to be.'),
    requestId: z.string().optional().describe('Where the log tells more.'),
  })
  .meta({ title: 'Problem' });

type Problem = z.infer<typeof problemSchema>;

/** Turns what is thrown into problems. */
export function problems(logger: Logger) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next();
    } catch (error) {
      send(ctx, error, logger);
    }
    letGoOfBody(ctx);
  };
}

function send(ctx: Context, error: unknown, logger: Logger): void {
  if (error instanceof SlipwayError) {
    const status = STATUS[error.kind];
    if (status >= 500)
      logger.warn(
        { err: error, requestId: requestIdOf(ctx), method: ctx.method, path: ctx.path },
        error.message,
      );
    setRetryAfter(ctx, error);
    answer(ctx, status, {
      detail: error.message,
      code: error.code ?? error.kind,
      ...(error.detail instanceof InvalidParts && { errors: error.detail.parts }),
    });
    return;
  }
  const requestId = requestIdOf(ctx);
  logger.error({ err: error, requestId, method: ctx.method, path: ctx.path }, 'request failed');
  answer(ctx, 500, { detail: 'internal error', code: 'internal', requestId });
}

function answer(ctx: Context, status: number, more: Omit<Problem, 'type' | 'title' | 'status'>): void {
  const problem: Problem = { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, ...more };
  ctx.status = status;
  ctx.body = problem;
  ctx.type = 'application/problem+json';
}

/** The detail of an `invalid` error: which parts of the request are wrong. */
export class InvalidParts {
  readonly parts: NonNullable<Problem['errors']>;

  constructor(parts: NonNullable<Problem['errors']>) {
    this.parts = parts;
  }
}
