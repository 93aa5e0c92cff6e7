import type { EngineContext } from './router.ts';

/** Aborts when the client goes away before its response is complete. */
export function requestSignal(ctx: EngineContext): AbortSignal {
  const controller = new AbortController();
  const { res } = ctx;
  res.once('close', () => {
    if (!res.writableFinished) controller.abort();
  });
  if (ctx.req.socket.destroyed) controller.abort();
  return controller.signal;
}
