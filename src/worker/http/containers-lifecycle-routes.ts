import { invalid, SlipwayError } from '#errors/errors.ts';
import { parsePlatform } from '#oci/platform.ts';
import type { Containers } from '../containers/containers.ts';
import { parseWaitCondition, waitFor } from '../containers/control/container-waiter.ts';
import { parsePruneFilter } from '../containers/remove/prune-filter.ts';
import { readJson } from './body.ts';
import { containerOf, containerPath, containerReference } from './container-path.ts';
import { createShape, updateShape } from './containers-create-shape.ts';
import { booleanQuery, filtersQuery, numberQuery, stringQuery } from './query.ts';
import type { EngineContext, EngineRouter } from './router.ts';

type Services = Pick<
  Containers,
  'store' | 'creator' | 'supervisor' | 'stopper' | 'pauser' | 'updater' | 'removal'
>;

/** From create to remove. */
export function containersLifecycleRoutes(router: EngineRouter, services: Services): void {
  const { store, creator, supervisor, stopper, pauser, updater, removal } = services;

  router.post('/containers/create', async (ctx) => {
    const body = await readJson(ctx);
    if (typeof body !== 'object' || body === null) {
      throw invalid('config cannot be empty in order to create a container');
    }
    const { config, hostConfig, endpoints } = parse(body);
    const platform = stringQuery(ctx, 'platform');
    const { container, warnings } = await creator.create({
      name: stringQuery(ctx, 'name') ?? '',
      ...(platform && { platform: parsePlatform(platform) }),
      config,
      hostConfig,
      endpoints,
    });
    ctx.status = 201;
    ctx.body = { Id: container.id, Warnings: warnings };
  });

  router.post('/containers/prune', async (ctx) => {
    const { ids, bytes } = await removal.prune(parsePruneFilter(filtersQuery(ctx)));
    ctx.body = { ContainersDeleted: ids.length > 0 ? ids : null, SpaceReclaimed: bytes };
  });

  router.delete(containerPath(), async (ctx) => {
    if (booleanQuery(ctx, 'link'))
      throw invalid('removing a link is not supported: links are no objects of their own');
    const force = booleanQuery(ctx, 'force');
    await removal.remove(containerReference(ctx), { force, volumes: booleanQuery(ctx, 'v') });
    ctx.status = 204;
  });

  const action = (name: string, run: (ctx: EngineContext) => Promise<void>) => {
    router.post(containerPath(name), async (ctx) => {
      await run(ctx);
      ctx.status = 204;
    });
  };
  action('start', (ctx) => supervisor.start(containerOf(ctx, store)));
  action('stop', (ctx) => stopper.stop(containerOf(ctx, store), stopOptions(ctx)));
  action('restart', (ctx) => stopper.restart(containerOf(ctx, store), stopOptions(ctx)));
  action('kill', async (ctx) => {
    try {
      await stopper.kill(containerOf(ctx, store), stringQuery(ctx, 'signal'));
    } catch (error) {
      if (!(error instanceof SlipwayError)) throw error;
      const message = `cannot kill container: ${containerReference(ctx)}: ${error.message}`;
      throw new SlipwayError(error.kind, message, { cause: error });
    }
  });
  action('pause', (ctx) => pauser.pause(containerOf(ctx, store)));
  action('unpause', (ctx) => pauser.unpause(containerOf(ctx, store)));
  action('rename', (ctx) => updater.rename(containerOf(ctx, store), stringQuery(ctx, 'name') ?? ''));

  router.post(containerPath('update'), async (ctx) => {
    const container = containerOf(ctx, store);
    await updater.update(container, await readJson(ctx, updateShape));
    ctx.body = { Warnings: null };
  });

  router.post(containerPath('wait'), async (ctx) => {
    const container = containerOf(ctx, store);
    const code = waitFor(container, parseWaitCondition(stringQuery(ctx, 'condition')));
    // The client goes on (to start it) when it has the headers, not when it has the code.
    ctx.respond = false;
    ctx.res.statusCode = 200;
    ctx.res.setHeader('Content-Type', 'application/json');
    ctx.res.flushHeaders();
    ctx.res.end(`${JSON.stringify({ StatusCode: await code })}\n`);
  });
}

function parse(body: object) {
  const result = createShape.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw invalid(`invalid container configuration: ${issue.path.join('.')}: ${issue.message}`);
}

function stopOptions(ctx: EngineContext): { signal?: string; timeout?: number } {
  const signal = stringQuery(ctx, 'signal');
  const timeout = numberQuery(ctx, 't');
  return { ...(signal && { signal }), ...(timeout !== undefined && { timeout }) };
}
