import { isKind } from '#errors/errors.ts';
import type { LayerBlobs } from '../layer-blobs.ts';
import type { LayerStore } from '../layer-store.ts';
import type { ImageLister, ImageSummary } from '../list/image-lister.ts';
import type { ImageRemover, Removal } from './image-remover.ts';

/** Downloads younger than this may belong to a pull that goes on. */
const STRAY_AGE_MS = 60 * 60 * 1000;

/** `docker image prune`. */
export class ImagePruner {
  readonly #lister: ImageLister;
  readonly #remover: ImageRemover;
  readonly #layers: LayerStore;
  readonly #blobs: LayerBlobs;

  constructor(ports: { lister: ImageLister; remover: ImageRemover; layers: LayerStore; blobs: LayerBlobs }) {
    this.#lister = ports.lister;
    this.#remover = ports.remover;
    this.#layers = ports.layers;
    this.#blobs = ports.blobs;
  }

  /** Without `dangling=false` only images that have no name. Also drops what cancelled pulls left behind. */
  async prune(
    filters: ReadonlyMap<string, readonly string[]>,
  ): Promise<{ removals: Removal[]; bytes: number }> {
    const unnamedOnly = !['false', '0'].includes(filters.get('dangling')?.[0]?.toLowerCase() ?? 'true');
    const selected = new Map([...filters].filter(([name]) => name !== 'dangling'));
    const images = await this.#lister.list({ all: false, filters: selected });
    const removals: Removal[] = [];
    let bytes = 0;
    for (const image of images) {
      if (image.containers > 0 || (unnamedOnly && image.names.length + image.digests.length > 0)) continue;
      for (const name of namesToRemove(image)) {
        const removed = await this.#remove(name);
        removals.push(...(removed?.removals ?? []));
        bytes += removed?.bytes ?? 0;
      }
    }
    for (const layer of await this.#layers.prune()) {
      removals.push({ deleted: layer.chainId });
      bytes += layer.bytes;
    }
    bytes += await this.#blobs.prune(new Date(Date.now() - STRAY_AGE_MS));
    return { removals, bytes };
  }

  /** An image that came into use meanwhile, or left, is no failure. */
  async #remove(name: string) {
    try {
      return await this.#remover.remove(name, { pruneParents: true });
    } catch (error) {
      if (isKind(error, 'conflict') || isKind(error, 'not-found')) return undefined;
      throw error;
    }
  }
}

function namesToRemove(image: ImageSummary): readonly string[] {
  if (image.names.length > 0) return image.names;
  return image.digests.length > 0 ? image.digests : [image.id];
}
