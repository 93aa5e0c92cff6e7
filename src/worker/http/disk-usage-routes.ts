import type { CacheContents, CacheUsage } from '../build/cache/cache-contents.ts';
import type { Containers } from '../containers/containers.ts';
import type { Images } from '../images/images.ts';
import type { VolumeService } from '../volumes/volume-service.ts';
import { summaryShape } from './containers-summary-shape.ts';
import { imagesUsage } from './images-routes.ts';
import { listQuery } from './query.ts';
import { requestSignal } from './request-signal.ts';
import type { EngineRouter } from './router.ts';
import { volumeShape } from './volumes-shapes.ts';

export interface DiskUsageServices {
  readonly images: Images;
  readonly containers: Containers;
  readonly volumes: VolumeService;
  /** What builds have left for later ones. */
  readonly cache: readonly CacheContents[];
}

/** `docker system df`: only the parts that `type` names, all without it. */
export function diskUsageRoutes(router: EngineRouter, services: DiskUsageServices): void {
  router.get('/system/df', async (ctx) => {
    const types = listQuery(ctx, 'type');
    const wants = (type: string) => types.length === 0 || types.includes(type);
    const signal = requestSignal(ctx);
    ctx.body = {
      ...(wants('image') && (await imagesUsage(services.images))),
      ...(wants('container') && { Containers: await containersPart(services.containers) }),
      ...(wants('volume') && { Volumes: await volumesPart(services.volumes, signal) }),
      ...(wants('build-cache') && {
        BuildCache: (await cachePart(services.cache)).map(cacheShape),
        BuilderSize: 0,
      }),
    };
  });
}

async function containersPart({ sizes }: Containers): Promise<object[]> {
  const all = await sizes.all();
  return all.map(({ container, size }) => summaryShape(container, container.record.config.Image, size));
}

async function volumesPart(volumes: VolumeService, signal: AbortSignal): Promise<object[]> {
  const usages = await volumes.usage({ signal });
  return usages.map(({ volume, ...usage }) => volumeShape(volume, usage));
}

async function cachePart(contents: readonly CacheContents[]): Promise<CacheUsage[]> {
  return (await Promise.all(contents.map((part) => part.usage()))).flat();
}

function cacheShape(usage: CacheUsage): object {
  return {
    ID: usage.id,
    Type: usage.type,
    Description: usage.description,
    InUse: usage.inUse,
    Shared: false,
    Size: usage.bytes,
    CreatedAt: usage.createdAt.toISOString(),
    LastUsedAt: usage.lastUsedAt.toISOString(),
    UsageCount: usage.usageCount,
    ...(usage.parents?.length && { Parents: usage.parents }),
  };
}
