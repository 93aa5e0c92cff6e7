import { Semaphore } from '#async/semaphore.ts';
import { invalid } from '#errors/errors.ts';
import { chainIds } from '#oci/chain-id.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import type { Digest } from '#oci/digest.ts';
import { type Compression, compressionOf, layerMediaType } from '#worker/images/compression.ts';
import { type LayerBlobs, verified } from '#worker/images/layer-blobs.ts';
import type { LayerBlob } from '#worker/images/layer-repository.ts';
import type { LayerStore } from '#worker/images/layer-store.ts';
import type { Ref, RefLayer } from '../solve/ref.ts';

/** A layer as a blob, of which the bytes may still be elsewhere. */
export interface ExportedLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  open(options: { signal: AbortSignal }): AsyncIterable<Uint8Array>;
}

export interface LayerExportOptions {
  readonly compression: Compression | undefined;
  readonly force: boolean;
  readonly oci: boolean;
  readonly signal: AbortSignal;
}

/** Layers that are compressed at once: compressing uses several threads by itself. */
const AT_ONCE = 2;

/** Turns layers into blobs: those that exist already are taken as they are, the others are compressed once. */
export class LayerExport {
  readonly #ports: { readonly layers: LayerStore; readonly blobs: LayerBlobs };
  readonly #slots = new Semaphore(AT_ONCE);

  constructor(ports: { layers: LayerStore; blobs: LayerBlobs }) {
    this.#ports = ports;
  }

  /** Bottom first. Throws `invalid` for a ref that is no file system of layers. */
  async layers(ref: Ref | undefined, options: LayerExportOptions): Promise<ExportedLayer[]> {
    if (ref === undefined) return [];
    if (ref.kind !== 'layers')
      throw invalid('a directory of the client is no image: nothing was built on it');
    const chain = chainIds(ref.layers.map(({ diffId }) => diffId));
    return Promise.all(ref.layers.map((layer, i) => this.#layer(layer, chain[i]!, options)));
  }

  async #layer(layer: RefLayer, chainId: Digest, options: LayerExportOptions): Promise<ExportedLayer> {
    const { diffId, remote } = layer;
    const { compression, force, oci } = options;
    const asItIs =
      remote && (!compression || !force || compressionOf(remote.descriptor.mediaType) === compression.type);
    if (asItIs) {
      const { mediaType, digest, size } = remote.descriptor;
      const open = ({ signal }: { signal: AbortSignal }) => this.#openRemote(layer, signal);
      return { descriptor: { mediaType: converted(mediaType, oci), digest, size }, diffId, open };
    }
    const blob = await this.#slots.run(async () => {
      options.signal.throwIfAborted();
      return this.#ports.blobs.compressed(
        diffId,
        () => this.#ports.layers.tar({ chainId, diffId }),
        compression,
      );
    });
    const { mediaType, digest, size } = blob;
    return {
      descriptor: { mediaType: converted(mediaType, oci), digest, size },
      diffId,
      open: () => this.#openBlob(blob),
    };
  }

  async *#openRemote({ diffId, remote }: RefLayer, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { descriptor, fetcher } = remote!;
    const stored = (await this.#ports.blobs.list(diffId)).find(({ digest }) => digest === descriptor.digest);
    if (stored) yield* this.#openBlob(stored);
    else yield* verified(fetcher.blob(descriptor, { signal }), descriptor.digest);
  }

  async *#openBlob(blob: LayerBlob): AsyncGenerator<Uint8Array> {
    yield* await this.#ports.blobs.open(blob);
  }
}

/** The same blob's type in the other family of words. */
function converted(mediaType: string, oci: boolean): string {
  return layerMediaType(compressionOf(mediaType), oci);
}
