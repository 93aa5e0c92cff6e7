import { invalid, messageOf } from '#errors/errors.ts';
import { jsonStrings } from '#worker/http/build-query.ts';
import { uploadFor } from '#worker/http/build-request.ts';
import { isUpgrade, switchProtocol } from '#worker/http/hijack.ts';
import { stringQuery } from '#worker/http/query.ts';
import type { EngineContext, EngineRouter } from '#worker/http/router.ts';
import type { BuildHomes } from '../../gateway/build-homes.ts';
import { errorLine } from '../../gateway/forward.ts';
import type { GrpcProxy } from '../../gateway/grpc-proxy.ts';
import { isPredefined } from '../../gateway/pool-objects.ts';
import type { BuildWish } from '../../scheduler/admit.ts';
import { askAll } from './ask-all.ts';
import type { GatewayParts } from './gateway-parts.ts';
import { pass } from './pass.ts';

/** Builds: each is on one worker, with the session of its client. */
export function poolBuildRoutes(
  router: EngineRouter,
  parts: GatewayParts,
  { homes, grpc }: { homes: BuildHomes; grpc: GrpcProxy },
): void {
  router.post('/session', async (ctx) => {
    const id = ctx.get('X-Docker-Expose-Session-Uuid');
    if (id === '') throw invalid('a session without an id');
    try {
      const project = ctx.get('X-Docker-Expose-Session-Sharedkey');
      const worker = await homes.ofSession(id, project, goneSignal(ctx));
      await pass(ctx, parts, worker);
    } finally {
      await homes.end(id);
    }
  });

  router.post('/grpc', async (ctx) => grpc.accept(await switchProtocol(ctx, 'h2c')));

  router.post('/build', async (ctx) => {
    const upload = uploadFor(ctx);
    // Its build may have to wait for a worker.
    if (upload !== undefined) return await pass(ctx, parts, await homes.worksOn(upload, goneSignal(ctx)));
    const session = stringQuery(ctx, 'session');
    const project = session ? '' : (stringQuery(ctx, 't') ?? stringQuery(ctx, 'remote') ?? '');
    const id = stringQuery(ctx, 'buildid');
    try {
      await using build = await homes.begin({
        session: session || undefined,
        project,
        ...(id && { reference: id }),
        wish: await wishOf(ctx, parts),
        signal: goneSignal(ctx),
        onPosition: (position) => sayPosition(ctx, position),
      });
      await pass(ctx, parts, build.worker, { beforeEnd: () => parts.contents.touch(build.worker) });
    } catch (error) {
      if (!ctx.res.headersSent) throw error;
      ctx.res.end(errorLine(messageOf(error)));
    } finally {
      if (id) await homes.over(id);
    }
  });

  router.post('/build/cancel', async (ctx) => {
    const worker = await homes.buildNow(stringQuery(ctx, 'id') ?? '');
    if (worker) await pass(ctx, parts, worker);
    else if (await askAll(ctx, parts)) ctx.status = 204;
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

/** The network that its commands have is on one worker; images whose steps it may take are on some. */
async function wishOf(ctx: EngineContext, { objects }: GatewayParts): Promise<BuildWish> {
  const [network = '', platform] = [stringQuery(ctx, 'networkmode'), stringQuery(ctx, 'platform')];
  const [, container] = /^container:(.+)$/.exec(network) ?? [];
  const isNamed = network !== '' && !isPredefined('network', network);
  const found = container
    ? await objects.find('container', container)
    : isNamed && (await objects.find('network', network));
  const images = jsonStrings(ctx, 'cachefrom');
  return {
    ...(found && { pinned: found.worker }),
    ...(platform && { platforms: [platform] }),
    ...(images.length > 0 && { images }),
  };
}

/** A line of the build's own output: the answer begins with it. */
function sayPosition(ctx: EngineContext, position: number): void {
  const { res } = ctx;
  if (!res.headersSent) {
    ctx.respond = false;
    res.writeHead(200, { 'Content-Type': 'application/json' });
  }
  res.write(`${JSON.stringify({ stream: `waiting for a worker (position ${position})\n` })}\r\n`);
}

/** Aborts when the client has gone before it had its answer. */
function goneSignal(ctx: EngineContext): AbortSignal {
  const gone = new AbortController();
  const socket = isUpgrade(ctx.req) ? ctx.req.socket : ctx.res;
  socket.once('close', () => gone.abort());
  return gone.signal;
}
