import { invalid } from '#errors/errors.ts';
import { parseImageReference, parseTag } from '#oci/reference.ts';
import type { Images } from '../images/images.ts';
import { historyShape, imageInspectShape, imageSummaryShape, removalShape } from './images-shapes.ts';
import { imagesTransferRoutes } from './images-transfer-routes.ts';
import { checkFilters } from './list-filters.ts';
import { booleanQuery, filtersQuery, stringQuery } from './query.ts';
import { atLeast, type EngineRouter, imageName, imagePath } from './router.ts';

const LIST_FILTERS = ['dangling', 'label', 'label!', 'before', 'since', 'reference', 'until'];
const PRUNE_FILTERS = ['dangling', 'label', 'label!', 'until'];

/** `docker images`, `inspect`, `history`, `tag`, `rmi`, `image prune`; and what moves images, from its own file. */
export function imagesRoutes(router: EngineRouter, images: Images): void {
  router.get('/images/json', async (ctx) => {
    const filters = filtersQuery(ctx);
    checkFilters(filters, LIST_FILTERS);
    // Before 1.25 the pattern had a parameter of its own.
    const pattern = stringQuery(ctx, 'filter');
    if (pattern) filters.set('reference', [...(filters.get('reference') ?? []), pattern]);
    const list = await images.lister.list({ all: booleanQuery(ctx, 'all'), filters });
    ctx.body = list.map((image) =>
      imageSummaryShape(image, {
        noneNames: !atLeast(ctx, '1.43'),
        virtualSize: !atLeast(ctx, '1.44'),
        counts: false,
        sharedSize: booleanQuery(ctx, 'shared-size'),
      }),
    );
  });

  // Ahead of the routes with a name, which would take "search" and "get" for one.
  imagesTransferRoutes(router, images);

  router.get(imagePath('json'), async (ctx) => {
    const details = await images.details(imageName(ctx));
    ctx.body = imageInspectShape(details, { virtualSize: !atLeast(ctx, '1.44') });
  });

  router.get(imagePath('history'), async (ctx) => {
    ctx.body = historyShape(await images.history(imageName(ctx)));
  });

  router.post(imagePath('tag'), async (ctx) => {
    const repository = stringQuery(ctx, 'repo') ?? '';
    const tag = stringQuery(ctx, 'tag');
    const { image, statements } = await images.store.lookUp(imageName(ctx));
    const reference = parseImageReference(repository);
    if (reference.digest) throw invalid('refusing to create a tag with a digest reference');
    const name = tag ? `${withoutTag(repository)}:${parseTag(tag)}` : repository;
    await images.store.tag(image.id, name, { statements });
    ctx.status = 201;
    ctx.body = '';
  });

  router.post('/images/prune', async (ctx) => {
    const filters = filtersQuery(ctx);
    checkFilters(filters, PRUNE_FILTERS);
    const { removals, bytes } = await images.pruner.prune(filters);
    ctx.body = { ImagesDeleted: removals.length > 0 ? removalShape(removals) : null, SpaceReclaimed: bytes };
  });

  router.delete(/^\/images\/(.+)$/, async (ctx) => {
    const name = imageName(ctx);
    if (!name.trim()) throw invalid('image name cannot be blank');
    const { removals } = await images.remover.remove(name, {
      force: booleanQuery(ctx, 'force'),
      pruneParents: !booleanQuery(ctx, 'noprune'),
    });
    ctx.body = removalShape(removals);
  });
}

/** The images' part of `docker system df`. */
export async function imagesUsage(images: Images): Promise<{ LayersSize: number; Images: object[] }> {
  const list = await images.lister.list({ all: true, filters: new Map() });
  const shape = { noneNames: false, virtualSize: false, counts: true, sharedSize: true };
  return {
    LayersSize: await images.lister.layersSize(),
    Images: list.map((image) => imageSummaryShape(image, shape)),
  };
}

function withoutTag(repository: string): string {
  const colon = repository.lastIndexOf(':');
  return colon > repository.lastIndexOf('/') ? repository.slice(0, colon) : repository;
}
