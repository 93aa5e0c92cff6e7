import type { EngineContext, EngineRouter } from './router.ts';

/** `/_ping`, by which clients find out what they talk to. `builder`: that which is to be asked for, 1 (classic) or 2 (BuildKit). */
export function pingRoutes(router: EngineRouter, { builder }: { builder: 1 | 2 }): void {
  const ping = (ctx: EngineContext) => {
    ctx.set('Builder-Version', String(builder));
    ctx.set('Swarm', 'inactive');
    ctx.set('Cache-Control', 'no-cache, no-store, must-revalidate');
    ctx.set('Pragma', 'no-cache');
    ctx.type = 'text/plain; charset=utf-8';
    ctx.body = ctx.method === 'HEAD' ? '' : 'OK';
  };
  router.get('/_ping', ping);
  router.head('/_ping', ping);
}
