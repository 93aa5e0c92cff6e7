import type { EngineRouter } from '#worker/http/router.ts';
import type { Images } from '#worker/images/images.ts';
import { CONTENT_PATH } from '../gateway/pool-contents.ts';
import { MAX_IMAGES, type WorkerContent } from '../workers/worker-content.ts';

/** Of a diff ID, so many hex digits tell layers apart. */
const DIGITS = 16;

/** What a worker has, for gateways of its pool. */
export function contentRoute(router: EngineRouter, images: Pick<Images, 'lister' | 'rows'>): void {
  router.get(CONTENT_PATH, async (ctx) => {
    ctx.body = await contentOf(images);
  });
}

/** A worker's images as it tells its pool of them. */
export async function contentOf({ lister, rows }: Pick<Images, 'lister' | 'rows'>): Promise<WorkerContent> {
  const [images, names] = await Promise.all([
    lister.list({ all: false, filters: new Map() }),
    rows.images.names(),
  ]);
  const tagged = new Map<string, number>();
  for (const { imageId, taggedAt } of names) {
    tagged.set(imageId, Math.max(tagged.get(imageId) ?? 0, Date.parse(taggedAt) || 0));
  }
  return {
    images: images.slice(0, MAX_IMAGES).map(({ id, names: own, digests, config }) => ({
      id,
      names: [...own, ...digests].map((name) => ({ name, taggedAt: tagged.get(id) ?? 0 })),
      layers: config.rootfs.diff_ids.map((layer) => layer.slice('sha256:'.length).slice(0, DIGITS)),
    })),
  };
}
