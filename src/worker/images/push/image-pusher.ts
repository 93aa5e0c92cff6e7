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
import type { ImageStatements, StatementRepository } from '../statement-repository.ts';
import type { LayerPusher, PushTarget } from './layer-pusher.ts';
import { makeManifest } from './push-manifest.ts';

export interface ImagePusherPorts {
  readonly registries: Registries;
  readonly images: ImageRepository;
  readonly statements: Pick<StatementRepository, 'of'>;
  readonly store: ImageStore;
  readonly layerPusher: LayerPusher;
  readonly events: EventPublisher;
}

export interface PushOptions {
  readonly credentials?: Credentials;
  readonly progress?: ProgressSink;
  readonly signal?: AbortSignal;
}

interface Tagged {
  readonly tag: string;
  readonly id: Digest;
  /** The index of what is stated of it. */
  readonly statements: Digest | undefined;
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
    tagged: readonly Tagged[],
    { sink: progress }: OrderedProgress,
    options: PushOptions,
  ): Promise<void> {
    const signal = options.signal ?? new AbortController().signal;
    const pusher = this.#ports.registries.pusher(reference, options.credentials);
    await progress({ status: `The push refers to repository [${fullRepository(reference)}]` });
    for (const { tag, id, statements } of tagged) {
      const image = await this.#ports.store.get(id);
      const stated = statements && (await this.#ports.statements.of(statements));
      const pushed = await this.#pushImage(image, tag, stated, { reference, pusher, progress, signal });
      await progress({ status: `${tag}: digest: ${pushed.digest} size: ${pushed.payload.length}` });
      const aux = { Tag: tag, Digest: pushed.digest, Size: pushed.payload.length };
      await progress({ progressDetail: {}, aux });
      this.#publish(reference, tag);
    }
  }

  async #pushImage(
    image: Image,
    tag: string,
    statements: ImageStatements | undefined,
    target: PushTarget,
  ): Promise<StoredManifest> {
    const { pusher, signal, reference } = target;
    const blobs = await this.#ports.layerPusher.push(await this.#ports.images.layers(image.id), target);
    await putSmallBlob({ digest: image.id, payload: image.rawConfig }, target);
    const stated = statedManifests(statements);
    const manifest =
      (await this.#manifestOf(image.id, blobs, stated)) ?? makeManifest(image.id, image.rawConfig, blobs);
    const withStatements = statements && stated.has(manifest.digest);
    if (withStatements) await this.#pushStatements(manifest, statements, target);
    const pushed = withStatements ? statements.index : manifest;
    await pusher.putManifest(tag, pushed, { signal });
    await this.#ports.images.saveManifest(image.id, manifest);
    await this.#ports.images.setDigest(fullRepository(reference), pushed.digest, image.id);
    return pushed;
  }

  /** All that the index names. */
  async #pushStatements(
    manifest: StoredManifest,
    { blobs, manifests }: ImageStatements,
    target: PushTarget,
  ): Promise<void> {
    for (const blob of blobs) await putSmallBlob(blob, target);
    for (const one of [manifest, ...manifests])
      await target.pusher.putManifest(one.digest, one, { signal: target.signal });
  }

  /** A manifest that the image came with and that speaks of the very blobs that were pushed; of several a preferred one. */
  async #manifestOf(
    id: Digest,
    blobs: readonly LayerBlob[],
    preferred: ReadonlySet<string>,
  ): Promise<StoredManifest | undefined> {
    const pushed = blobs.map((blob) => blob.digest).join();
    const fitting = (await this.#ports.images.manifests(id)).filter(({ mediaType, payload }) => {
      const parsed = parseManifest(mediaType, payload);
      return parsed.kind === 'manifest' && digestsOf(parsed.manifest) === pushed;
    });
    return fitting.find(({ digest }) => preferred.has(digest)) ?? fitting[0];
  }

  async #tagged(reference: ImageReference): Promise<Tagged[]> {
    const repository = fullRepository(reference);
    const names = (await this.#ports.images.names()).map((entry) => ({
      ...parseImageReference(entry.name),
      id: entry.imageId,
      statements: entry.statements,
    }));
    const wanted = names.filter(
      (name) =>
        fullRepository(name) === repository && (reference.tag === undefined || name.tag === reference.tag),
    );
    if (wanted.length > 0) return wanted.map(({ tag, id, statements }) => ({ tag: tag!, id, statements }));
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

/** Digests of the manifests that the index of an image's statements names. */
function statedManifests(statements: ImageStatements | undefined): ReadonlySet<string> {
  if (!statements) return new Set();
  const { mediaType, payload } = statements.index;
  const parsed = parseManifest(mediaType, payload);
  return new Set(parsed.kind === 'index' ? parsed.index.manifests.map(({ digest }) => digest) : []);
}

async function putSmallBlob(
  { digest, payload }: Pick<StoredManifest, 'digest' | 'payload'>,
  { pusher, signal }: PushTarget,
): Promise<void> {
  if (await pusher.hasBlob(digest, { signal })) return;
  const content = async function* () {
    yield payload;
  };
  await pusher.putBlob({ digest, size: payload.length }, content, { signal });
}

function digestsOf(manifest: Manifest): string {
  return manifest.layers.map((layer) => layer.digest).join();
}
