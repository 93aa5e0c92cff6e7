import type { Fetcher } from '#distribution/fetcher.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import type { ImageReference } from '#oci/reference.ts';
import type { LayerRepository } from '../layer-repository.ts';

/** Remembers where layers can be mounted from: the registry that an image is named after, and the mirror that had it. */
export async function recordOrigins(
  layers: readonly Pick<Descriptor, 'digest'>[],
  { domain, path }: ImageReference,
  { origin }: Pick<Fetcher, 'origin'>,
  rows: LayerRepository,
): Promise<void> {
  for (const { digest } of layers) {
    for (const at of new Set([domain, origin.host])) await rows.recordOrigin(digest, at, path);
  }
}
