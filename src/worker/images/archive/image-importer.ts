import { invalid } from '#errors/errors.ts';
import type { ImageConfig, RunConfig } from '#oci/image-config.ts';
import { hostPlatform, type Platform } from '#oci/platform.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import type { Image } from '../image-source.ts';
import type { ImageStore } from '../image-store.ts';
import type { LayerStore } from '../layer-store.ts';

export interface ImportRequest {
  /** A root file system's tar, plain or compressed. */
  readonly tar: AsyncIterable<Uint8Array>;
  /** `repository[:tag]`. */
  readonly name?: string;
  readonly message?: string;
  /** Dockerfile instructions: `CMD ["sh"]`. */
  readonly changes?: readonly string[];
  readonly platform?: Platform;
  readonly signal?: AbortSignal;
}

export type ApplyChanges = (config: RunConfig, changes: readonly string[]) => RunConfig;

/** `docker import`: an image of one layer. */
export class ImageImporter {
  readonly #layers: LayerStore;
  readonly #store: ImageStore;
  readonly #events: EventPublisher;
  readonly #applyChanges: ApplyChanges;

  constructor(ports: {
    layers: LayerStore;
    store: ImageStore;
    events: EventPublisher;
    applyChanges: ApplyChanges;
  }) {
    this.#layers = ports.layers;
    this.#store = ports.store;
    this.#events = ports.events;
    this.#applyChanges = ports.applyChanges;
  }

  /** Throws `invalid` for a broken tar or change. */
  async import(request: ImportRequest): Promise<Image> {
    const config = this.#applyChanges({}, request.changes ?? []);
    const unpacked = await this.#layers.unpack(request.tar, {
      ...(request.signal && { signal: request.signal }),
    });
    if (unpacked.tarBytes === 0) {
      await this.#layers.discard(unpacked);
      throw invalid('the archive to import is empty');
    }
    // Read back as our own layer, which can be made again at any time: the tar itself need not be kept.
    const { diffId } = await this.#layers.commit(unpacked.snapshotKey);
    const created = new Date().toISOString();
    const comment = request.message || 'Imported from -';
    const imageConfig: ImageConfig = {
      ...(request.platform ?? hostPlatform()),
      created,
      config,
      rootfs: { type: 'layers', diff_ids: [diffId] },
      history: [{ created, comment }],
    };
    const image = await this.#store.create(Buffer.from(JSON.stringify(imageConfig)));
    if (request.name) await this.#store.setName(image.id, request.name);
    const attributes = { name: image.id };
    this.#events.publish({ type: 'image', action: 'import', actor: { id: image.id, attributes } });
    return image;
  }
}
