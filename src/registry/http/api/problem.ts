import type { Context, Next } from 'koa';
import type { Logger } from 'pino';
import { internalProblem, PROBLEM_TYPE, type Problem, problemOf } from '#api/problem.ts';
import { SlipwayError } from '#errors/errors.ts';
import { setRetryAfter } from '../errors.ts';
import { letGoOfBody } from '../request-body.ts';
import { requestIdOf } from '../request-id.ts';

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
  const requestId = requestIdOf(ctx);
  const { method, path } = ctx;
  if (error instanceof SlipwayError) {
    const problem = problemOf(error);
    if (problem.status >= 500) logger.warn({ err: error, requestId, method, path }, error.message);
    setRetryAfter(ctx, error);
    answer(ctx, problem);
    return;
  }
  logger.error({ err: error, requestId, method, path }, 'request failed');
  answer(ctx, internalProblem(requestId));
}

function answer(ctx: Context, problem: Problem): void {
  ctx.status = problem.status;
  ctx.body = problem;
  ctx.type = PROBLEM_TYPE;
}
