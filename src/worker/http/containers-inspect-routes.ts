import { once } from 'node:events';
import { ownChanges } from '../containers/archive/engine-files.ts';
import type { Container } from '../containers/container.ts';
import type { Containers } from '../containers/containers.ts';
import type { ImageSource } from '../images/image-source.ts';
import { containerOf, containerPath } from './container-path.ts';
import { inspectShape } from './containers-inspect-shape.ts';
import { statsShape } from './containers-stats-shape.ts';
import { summaryShape } from './containers-summary-shape.ts';
import { booleanQuery, filtersQuery, numberQuery, stringQuery } from './query.ts';
import { requestSignal } from './request-signal.ts';
import type { EngineRouter } from './router.ts';

type Services = Pick<Containers, 'store' | 'lister' | 'sizes' | 'processes' | 'stats' | 'comparer' | 'root'>;

const CHANGE_KINDS = { modified: 0, added: 1, deleted: 2 } as const;

/** What there is to know of containers. */
export function containersInspectRoutes(router: EngineRouter, services: Services, images: ImageSource): void {
  const { store, lister, sizes, processes, stats, comparer, root } = services;

  router.get('/containers/json', async (ctx) => {
    const containers = await lister.list({
      all: booleanQuery(ctx, 'all'),
      limit: numberQuery(ctx, 'limit') ?? 0,
      filters: filtersQuery(ctx),
    });
    const withSize = booleanQuery(ctx, 'size');
    const names = await currentNames(containers, images);
    ctx.body = await Promise.all(
      containers.map(async (container) => {
        const { imageId, config } = container.record;
        const image = names.get(config.Image) === imageId ? config.Image : imageId;
        return summaryShape(container, image, withSize ? await sizes.of(container) : undefined);
      }),
    );
  });

  router.get(containerPath('json'), async (ctx) => {
    const container = containerOf(ctx, store);
    const size = booleanQuery(ctx, 'size') ? await sizes.of(container) : undefined;
    ctx.body = inspectShape(container, { root, store, ...(size && { size }) });
  });

  router.get(containerPath('top'), async (ctx) => {
    const container = containerOf(ctx, store);
    const { titles, processes: rows } = await processes.top(container, stringQuery(ctx, 'ps_args') ?? '');
    ctx.body = { Titles: titles, Processes: rows };
  });

  router.get(containerPath('changes'), async (ctx) => {
    const container = containerOf(ctx, store);
    const { mounts, hostConfig } = container.record;
    const mountedAt = [
      ...mounts.map(({ destination }) => destination),
      ...Object.keys(hostConfig.Tmpfs ?? {}),
    ];
    const changes = ownChanges(await comparer.changes(container.id), mountedAt);
    ctx.body =
      changes.length > 0 ? changes.map(({ path, kind }) => ({ Path: path, Kind: CHANGE_KINDS[kind] })) : null;
    // Koa answers a null body with 204, the engine with the word.
    if (changes.length === 0) {
      ctx.status = 200;
      ctx.type = 'application/json';
      ctx.body = 'null';
    }
  });

  router.get(containerPath('stats'), async (ctx) => {
    const container = containerOf(ctx, store);
    const signal = requestSignal(ctx);
    if (!booleanQuery(ctx, 'stream', true)) {
      const pair = await stats.once(container, { oneShot: booleanQuery(ctx, 'one-shot'), signal });
      ctx.body = statsShape(container, pair);
      return;
    }
    ctx.respond = false;
    ctx.res.statusCode = 200;
    ctx.res.setHeader('Content-Type', 'application/json');
    ctx.res.flushHeaders();
    for await (const pair of stats.stream(container, signal)) {
      if (ctx.res.write(`${JSON.stringify(statsShape(container, pair))}\n`)) continue;
      await once(ctx.res, 'drain', { signal }).catch(() => undefined);
    }
    ctx.res.end();
  });
}

/** What the names that containers were made from mean now. */
async function currentNames(
  containers: readonly Container[],
  images: ImageSource,
): Promise<Map<string, string>> {
  const names = new Set(containers.map(({ record }) => record.config.Image).filter(Boolean));
  const resolved = await Promise.all(
    [...names].map(async (name) => {
      const image = await images.resolve(name).catch(() => undefined);
      return [name, image?.id ?? ''] as const;
    }),
  );
  return new Map(resolved);
}
