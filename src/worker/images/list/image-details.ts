import type { Digest } from '#oci/digest.ts';
import { familiar } from '../image-name.ts';
import type { ImageRepository } from '../image-repository.ts';
import type { Image } from '../image-source.ts';
import type { ImageStore } from '../image-store.ts';

export interface ImageDetails {
  readonly image: Image;
  readonly parent: Digest | undefined;
  /** Familiar: `busybox:latest`, `busybox@sha256:…`. */
  readonly names: readonly string[];
  readonly digests: readonly string[];
  readonly bytes: number;
  /** ISO 8601. */
  readonly lastTaggedAt: string | undefined;
}

/** What `docker inspect` shows of an image. Throws `not-found`. */
export async function imageDetails(
  reference: string,
  { images, store }: { images: ImageRepository; store: ImageStore },
): Promise<ImageDetails> {
  const image = await store.resolve(reference);
  const names = await images.names(image.id);
  const layers = await images.layers(image.id);
  return {
    image,
    parent: (await images.find(image.id))?.parent,
    names: names.map(({ name }) => familiar(name)),
    digests: (await images.digests(image.id)).map(({ repository, digest }) =>
      familiar(`${repository}@${digest}`),
    ),
    bytes: layers.reduce((bytes, layer) => bytes + layer.bytes, 0),
    lastTaggedAt: names
      .map(({ taggedAt }) => taggedAt)
      .sort()
      .at(-1),
  };
}
