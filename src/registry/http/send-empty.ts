import type { Context } from 'koa';

/** Answers without a body, and says so: Koa would turn a missing body into a 204. */
export function sendEmpty(ctx: Context, status: 201 | 202 | 204): void {
  ctx.respond = false;
  ctx.res.statusCode = status;
  if (status !== 204) ctx.res.setHeader('Content-Length', 0);
  ctx.res.end();
}
