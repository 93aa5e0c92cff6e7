import type { EngineRouter } from './router.ts';

const SWARM_PATHS = /^\/(swarm|nodes|services|tasks|secrets|configs)(\/.*)?$/;

/** What clients ask about and Slipway does not have: answered as an engine answers that has none of it either. */
export function absentRoutes(router: EngineRouter): void {
  router.get('/plugins', (ctx) => {
    ctx.body = [];
  });
  router.all(SWARM_PATHS, (ctx) => {
    ctx.status = 503;
    ctx.body = {
      message:
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
    };
  });
}
