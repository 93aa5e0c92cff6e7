import type { Context } from 'koa';

/** Answers with JSON that has no letters beyond ASCII, such as names and tags: to be sent as it is, unencoded. */
export function sendAsciiJson(ctx: Context, json: string): void {
  const { res } = ctx;
  ctx.respond = false;
  res.statusCode = 200;
  res.setHeader('Content-Type', 'application/json; charset=utf-8');
  res.setHeader('Content-Length', json.length);
  if (ctx.method === 'HEAD') res.end();
  else res.end(json, 'latin1');
}
