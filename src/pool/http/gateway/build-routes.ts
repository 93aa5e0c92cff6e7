import { invalid } from '#errors/errors.ts';
import { switchProtocol } from '#worker/http/hijack.ts';
import { stringQuery } from '#worker/http/query.ts';
import type { EngineRouter } from '#worker/http/router.ts';
import type { BuildHomes } from '../../gateway/build-homes.ts';
import type { GrpcProxy } from '../../gateway/grpc-proxy.ts';
import { askAll } from './ask-all.ts';
import type { GatewayParts } from './gateway-parts.ts';
import { pass } from './pass.ts';

/** Builds: each is on one worker, with the session of its client. */
export function poolBuildRoutes(
  router: EngineRouter,
  parts: GatewayParts,
  { homes, grpc }: { homes: BuildHomes; grpc: GrpcProxy },
): void {
  const building = new Map<string, string>();

  router.post('/session', async (ctx) => {
    const id = ctx.get('X-Docker-Expose-Session-Uuid');
    if (id === '') throw invalid('a session without an id');
    const worker = await homes.ofSession(id, ctx.get('X-Docker-Expose-Session-Sharedkey'));
    try {
      await pass(ctx, parts, worker);
    } finally {
      await homes.end(id);
    }
  });

  router.post('/grpc', (ctx) => grpc.accept(switchProtocol(ctx, 'h2c')));

  router.post('/build', async (ctx) => {
    const session = stringQuery(ctx, 'session');
    const project = stringQuery(ctx, 't') ?? stringQuery(ctx, 'remote') ?? '';
    const worker = session ? await homes.ofSession(session) : await homes.choose(project);
    const id = stringQuery(ctx, 'buildid');
    if (id) building.set(id, worker.name);
    try {
      await pass(ctx, parts, worker);
    } finally {
      if (id) building.delete(id);
    }
  });

  router.post('/build/cancel', async (ctx) => {
    const worker = building.get(stringQuery(ctx, 'id') ?? '');
    // One that is not here is at another gateway, with the client that knows of it.
    if (worker === undefined) {
      if (await askAll(ctx, parts)) ctx.status = 204;
      return;
    }
    await pass(ctx, parts, await parts.workers.named(worker));
  });

  router.post('/build/prune', async (ctx) => {
    const answers = await askAll(ctx, parts, { patience: 0 });
    if (!answers) return;
    ctx.body = {
      CachesDeleted: answers.flatMap(({ body }) => body.CachesDeleted ?? []),
      SpaceReclaimed: answers.reduce((sum, { body }) => sum + body.SpaceReclaimed, 0),
    };
  });
}
