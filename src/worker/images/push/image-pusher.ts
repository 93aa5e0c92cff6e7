import type { Credentials } from '#distribution/authorizer.ts';
import type { Registries } from '#distribution/registries.ts';
import { notFound } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { Manifest } from '#oci/manifest.ts';
import { familiarName, familiarReference, type ImageReference, parseImageReference } from '#oci/reference.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import { fullRepository } from '../image-name.ts';
import type { ImageRepository, StoredManifest } from '../image-repository.ts';
import type { Image } from '../image-source.ts';
import type { ImageStore } from '../image-store.ts';
import type { LayerBlob } from '../layer-repository.ts';
import { type OrderedProgress, orderedProgress } from '../ordered-progress.ts';
import type { ProgressSink } from '../progress.ts';
import { parseManifest } from '../pull/manifest-parser.ts';
import type { LayerPusher, PushTarget } from './layer-pusher.ts';
import { makeManifest } from './push-manifest.ts';

export interface ImagePusherPorts {
  readonly registries: Registries;
  readonly images: ImageRepository;
  readonly store: ImageStore;
  readonly layerPusher: LayerPusher;
  readonly events: EventPublisher;
}

export interface PushOptions {
  readonly credentials?: Credentials;
  readonly progress?: ProgressSink;
  readonly signal?: AbortSignal;
}

/** `docker push`. */
export class ImagePusher {
  readonly #ports: ImagePusherPorts;

  constructor(ports: ImagePusherPorts) {
    this.#ports = ports;
  }

  /** One tag, or every tag of the repository when the reference has none. Throws in Docker's words. */
  async push(reference: ImageReference, options: PushOptions = {}): Promise<void> {
    const tagged = await this.#tagged(reference);
    const progress = orderedProgress(options.progress);
    try {
      await this.#pushAll(reference, tagged, progress, options);
    } finally {
      await progress.settled();
    }
  }

  async #pushAll(
    reference: ImageReference,
    tagged: readonly { tag: string; id: Digest }[],
    { sink: progress }: OrderedProgress,
    options: PushOptions,
  ): Promise<void> {
    const signal = options.signal ?? new AbortController().signal;
    const pusher = this.#ports.registries.pusher(reference, options.credentials);
    await progress({ status: `The push refers to repository [${fullRepository(reference)}]` });
    for (const { tag, id } of tagged) {
      const image = await this.#ports.store.get(id);
      const pushed = await this.#pushImage(image, tag, { reference, pusher, progress, signal });
      await progress({ status: `${tag}: digest: ${pushed.digest} size: ${pushed.payload.length}` });
      const aux = { Tag: tag, Digest: pushed.digest, Size: pushed.payload.length };
      await progress({ progressDetail: {}, aux });
      this.#publish(reference, tag);
    }
  }

  async #pushImage(image: Image, tag: string, target: PushTarget): Promise<StoredManifest> {
    const { pusher, signal, reference } = target;
    const blobs = await this.#ports.layerPusher.push(await this.#ports.images.layers(image.id), target);
    if (!(await pusher.hasBlob(image.id, { signal }))) {
      const config = { digest: image.id, size: image.rawConfig.length };
      await pusher.putBlob(
        config,
        async function* () {
          yield image.rawConfig;
        },
        { signal },
      );
    }
    const manifest =
      (await this.#manifestOf(image.id, blobs)) ?? makeManifest(image.id, image.rawConfig, blobs);
    await pusher.putManifest(tag, manifest, { signal });
    await this.#ports.images.saveManifest(image.id, manifest);
    await this.#ports.images.setDigest(fullRepository(reference), manifest.digest, image.id);
    return manifest;
  }

  /** The manifest that the image came with, if it speaks of the very blobs that were pushed. */
  async #manifestOf(id: Digest, blobs: readonly LayerBlob[]): Promise<StoredManifest | undefined> {
    const pushed = blobs.map((blob) => blob.digest).join();
    for (const stored of await this.#ports.images.manifests(id)) {
      const parsed = parseManifest(stored.mediaType, stored.payload);
      if (parsed.kind === 'manifest' && digestsOf(parsed.manifest) === pushed) return stored;
    }
    return undefined;
  }

  async #tagged(reference: ImageReference): Promise<{ tag: string; id: Digest }[]> {
    const repository = fullRepository(reference);
    const names = (await this.#ports.images.names()).map((entry) => ({
      ...parseImageReference(entry.name),
      id: entry.imageId,
    }));
    const wanted = names.filter(
      (name) =>
        fullRepository(name) === repository && (reference.tag === undefined || name.tag === reference.tag),
    );
    if (wanted.length > 0) return wanted.map(({ tag, id }) => ({ tag: tag!, id }));
    throw notFound(
      reference.tag === undefined
        ? `An image does not exist locally with the tag: ${familiarName(reference)}`
        : `tag does not exist: ${familiarReference(reference)}`,
    );
  }

  #publish(reference: ImageReference, tag: string): void {
    const name = familiarName(reference);
    this.#ports.events.publish({
      type: 'image',
      action: 'push',
      actor: { id: `${name}:${tag}`, attributes: { name } },
    });
  }
}

function digestsOf(manifest: Manifest): string {
  return manifest.layers.map((layer) => layer.digest).join();
}
