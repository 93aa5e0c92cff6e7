import type { ContentStore } from '#content/content-store.ts';
import { canceled, invalid } from '#errors/errors.ts';
import { chainIds } from '#oci/chain-id.ts';
import type { Digest } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { familiarReference, parseImageReference, withDefaultTag } from '#oci/reference.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import { compressionOf, decompress } from '../../snapshots/tree/decompress.ts';
import { parseImageConfig } from '../config-parser.ts';
import { fullName } from '../image-name.ts';
import type { ImageRepository } from '../image-repository.ts';
import type { Image } from '../image-source.ts';
import type { ImageStore } from '../image-store.ts';
import type { LayerBlobs } from '../layer-blobs.ts';
import { expectDiffId, type LayerStore } from '../layer-store.ts';
import { ProgressMeter, type ProgressSink } from '../progress.ts';
import { type ArchivedImage, archivedImages } from './archive-contents.ts';
import { ArchiveSpool, type SpooledFile } from './archive-spool.ts';

export interface ImageLoaderPorts {
  readonly content: ContentStore;
  readonly images: ImageRepository;
  readonly store: ImageStore;
  readonly layers: LayerStore;
  readonly blobs: LayerBlobs;
  readonly events: EventPublisher;
}

export interface LoadOptions {
  readonly signal?: AbortSignal;
  readonly progress?: ProgressSink;
  /** Leaves out the lines that count a layer's bytes. */
  readonly quiet?: boolean;
}

/** `docker load`: archives of `docker save`, old and new, and OCI image layouts; compressed or not. */
export class ImageLoader {
  readonly #ports: ImageLoaderPorts;

  constructor(ports: ImageLoaderPorts) {
    this.#ports = ports;
  }

  /** Throws `invalid` for a broken archive; images before the broken one stay. */
  async load(archive: AsyncIterable<Uint8Array>, options: LoadOptions = {}): Promise<Image[]> {
    await using spool = new ArchiveSpool(this.#ports.content);
    await spool.read(decompress(abortable(archive, options.signal)));
    const loaded: Image[] = [];
    for (const archived of await archivedImages(spool)) {
      const image = await this.#loadImage(spool, archived, options);
      loaded.push(image);
      await this.#name(image.id, archived.names, options);
      const attributes = { name: image.id };
      this.#ports.events.publish({ type: 'image', action: 'load', actor: { id: image.id, attributes } });
    }
    return loaded;
  }

  async #loadImage(spool: ArchiveSpool, archived: ArchivedImage, options: LoadOptions): Promise<Image> {
    const rawConfig = await spool.bytes(archived.config);
    const diffIds = parseImageConfig(rawConfig).rootfs.diff_ids;
    if (diffIds.length !== archived.layers.length) {
      throw invalid(
        `invalid archive: ${archived.layers.length} layers, but the configuration names ${diffIds.length}`,
      );
    }
    const chain = chainIds(diffIds);
    const { pin, present } = await this.#ports.layers.pinStack(chain);
    try {
      for (let i = present; i < chain.length; i++) {
        await this.#loadLayer(spool, spool.file(archived.layers[i]!), diffIds[i]!, chain[i - 1], options);
      }
      return await this.#ports.store.create(rawConfig);
    } finally {
      pin[Symbol.dispose]();
    }
  }

  async #loadLayer(
    spool: ArchiveSpool,
    file: SpooledFile,
    diffId: Digest,
    parent: Digest | undefined,
    options: LoadOptions,
  ): Promise<void> {
    const { layers, blobs } = this.#ports;
    const source = await spool.open(file);
    const id = diffId.slice('sha256:'.length).slice(0, 12);
    const meter =
      options.progress && !options.quiet
        ? new ProgressMeter(options.progress, { id, status: 'Loading layer', total: file.size })
        : undefined;
    const head = { mediaType: MEDIA_TYPE.ociLayer as string };
    const unpacked = await layers.unpack(metered(source, meter, head), { signal: options.signal });
    try {
      expectDiffId(unpacked, diffId);
    } catch (error) {
      await layers.discard(unpacked);
      throw error;
    }
    await layers.stack(unpacked, parent);
    // The tar cannot be made again from what it was unpacked to, not to the byte.
    const known = (await blobs.list(diffId)).some((blob) => blob.digest === file.digest);
    if (known) return;
    spool.keep(file);
    await blobs.record({ ...file, diffId, mediaType: head.mediaType });
  }

  async #name(id: Digest, names: readonly string[], options: LoadOptions): Promise<void> {
    for (const name of names) {
      const reference = withDefaultTag(parseImageReference(name));
      const familiar = familiarReference(reference);
      const before = await this.#ports.images.imageNamed(fullName(reference));
      if (before && before !== id) {
        await options.progress?.({
          stream: `The image ${familiar} already exists, renaming the old one with ID ${before} to empty string\n`,
        });
      }
      await this.#ports.store.setName(id, familiar);
      await options.progress?.({ stream: `Loaded image: ${familiar}\n` });
    }
    if (names.length === 0) await options.progress?.({ stream: `Loaded image ID: ${id}\n` });
  }
}

const LAYER_TYPES: Readonly<Record<string, string>> = {
  gzip: MEDIA_TYPE.ociLayerGzip,
  zstd: MEDIA_TYPE.ociLayerZstd,
};

/** Counts bytes, and notes what the layer is compressed with. */
async function* metered(
  source: AsyncIterable<Uint8Array>,
  meter: ProgressMeter | undefined,
  head: { mediaType: string },
): AsyncGenerator<Uint8Array> {
  let first = true;
  for await (const chunk of source) {
    if (first) head.mediaType = LAYER_TYPES[compressionOf(chunk)] ?? head.mediaType;
    first = false;
    yield chunk;
    meter?.add(chunk.length);
  }
}

async function* abortable(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    if (signal?.aborted) throw canceled();
    yield chunk;
  }
}
