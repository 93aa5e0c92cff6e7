import { matchesLabels } from '../containers/list/label-filter.ts';
import type { VolumeService } from '../volumes/volume-service.ts';
import type { Volume } from '../volumes/volumes.ts';
import { readJson } from './body.ts';
import { booleanFilter, checkFilters, matchesPattern } from './list-filters.ts';
import { booleanQuery, filtersQuery } from './query.ts';
import { atLeast, type EngineContext, type EngineRouter } from './router.ts';
import { createVolumeBody, volumeShape } from './volumes-shapes.ts';

/** Volumes. */
export function volumesRoutes(router: EngineRouter, { volumes }: { volumes: VolumeService }): void {
  router.get('/volumes', async (ctx) => {
    const filters = filtersQuery(ctx);
    checkFilters(filters, ['name', 'driver', 'label', 'dangling']);
    const dangling = booleanFilter(filters, 'dangling');
    const drivers = filters.get('driver') ?? [];
    const found = (await volumes.list()).filter(
      ({ volume, users }) =>
        matchesPattern(volume.name, filters.get('name')) &&
        (drivers.length === 0 || drivers.includes(volume.driver)) &&
        matchesLabels(volume.labels, filters.get('label') ?? []) &&
        (dangling === undefined || (users.length === 0) === dangling),
    );
    ctx.body = { Volumes: found.map(({ volume }) => volumeShape(volume)), Warnings: null };
  });

  router.post('/volumes/create', async (ctx) => {
    const body = await readJson(ctx, createVolumeBody);
    const volume = await volumes.create({
      ...(body.Name && { name: body.Name }),
      ...(body.Driver && { driver: body.Driver }),
      labels: body.Labels ?? {},
      options: body.DriverOpts ?? {},
    });
    ctx.status = 201;
    ctx.body = volumeShape(volume);
  });

  router.post('/volumes/prune', async (ctx) => {
    const { names, reclaimed } = await volumes.prune(pruneFilter(ctx));
    ctx.body = { VolumesDeleted: names, SpaceReclaimed: reclaimed };
  });

  router.get('/volumes/:name', async (ctx) => {
    ctx.body = volumeShape(await volumes.inspect(ctx.params.name ?? ''));
  });

  router.delete('/volumes/:name', async (ctx) => {
    await volumes.remove(ctx.params.name ?? '', { force: booleanQuery(ctx, 'force') });
    ctx.status = 204;
  });
}

/** Since 1.42 volumes that somebody named are only pruned when `all` asks for it. Throws `invalid`. */
function pruneFilter(ctx: EngineContext): (volume: Volume) => boolean {
  const filters = filtersQuery(ctx);
  checkFilters(filters, ['label', 'label!', 'all']);
  const all = booleanFilter(filters, 'all') ?? !atLeast(ctx, '1.42');
  const unwanted = filters.get('label!') ?? [];
  return (volume) =>
    (all || volume.anonymous) &&
    matchesLabels(volume.labels, filters.get('label') ?? []) &&
    (unwanted.length === 0 || !matchesLabels(volume.labels, unwanted));
}
