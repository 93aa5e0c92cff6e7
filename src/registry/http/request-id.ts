import type { Context } from 'koa';

/** The id by which logs, the audit log and the client know this request. */
export function requestIdOf(ctx: Context): string | undefined {
  return (ctx.state as { requestId?: string }).requestId;
}
