import type { EngineContext, EngineRouter } from './router.ts';

/** `/_ping`, by which clients find out what they talk to. */
export function pingRoutes(router: EngineRouter): void {
  const ping = (ctx: EngineContext) => {
    // BuildKit; 1 is the classic builder.
    ctx.set('Builder-Version', '2');
    ctx.set('Swarm', 'inactive');
    ctx.set('Cache-Control', 'no-cache, no-store, must-revalidate');
    // A gateway tells what comes from several workers by one clock.
    ctx.set('Slipway-Clock', String(Date.now()));
    ctx.set('Pragma', 'no-cache');
    ctx.type = 'text/plain; charset=utf-8';
    ctx.body = ctx.method === 'HEAD' ? '' : 'OK';
  };
  router.get('/_ping', ping);
  router.head('/_ping', ping);
}
