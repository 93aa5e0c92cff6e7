import { Semaphore } from '#async/semaphore.ts';
import { chainIds } from '#oci/chain-id.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, Digester } from '#oci/digest.ts';
import { isForeignLayerType } from '#oci/media-type.ts';
import { type Compression, compressionOf, layerMediaType } from '#worker/images/compression.ts';
import { type LayerBlobs, verified } from '#worker/images/layer-blobs.ts';
import type { LayerBlob, LayerRow } from '#worker/images/layer-repository.ts';
import type { LayerStore } from '#worker/images/layer-store.ts';
import type { LayerUploads } from '#worker/images/push/layer-uploads.ts';
import type { TarOptions } from '#worker/snapshots/diff.ts';
import type { DirectoryRef, LayersRef, Ref, RefLayer } from '../solve/ref.ts';
import { rewriteTimes } from './rewrite-times.ts';

/** A layer as a blob, of which the bytes may still be elsewhere. */
export interface ExportedLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  readonly createdAt?: Date;
  /** The blob's bytes. */
  open(options: { signal: AbortSignal }): AsyncIterable<Uint8Array>;
}

export interface LayerExportOptions {
  /** undefined: as it is compressed already, else gzip. */
  readonly compression: Compression | undefined;
  /** Also of layers that exist as blobs already. */
  readonly force: boolean;
  readonly oci: boolean;
  /** What a base image has elsewhere stays there, under its own type. */
  readonly keepForeign?: boolean;
  /** No file may be younger; the layers of the base image stay as they are. */
  readonly rewrite: { readonly epoch: Date; readonly base: readonly Digest[] } | undefined;
  /** The registry that they are about to be pushed to. */
  readonly pushedTo?: string;
  readonly signal: AbortSignal;
}

/** Brings layers that are lazy to this machine. */
export interface LocalLayers {
  /** They stay as long as the build that they are of. */
  require(ref: LayersRef, options: { signal: AbortSignal }): Promise<unknown>;
  /** A layer with a directory's files. */
  import(ref: DirectoryRef, options: { signal: AbortSignal }): Promise<LayersRef>;
}

export interface LayerExportPorts {
  readonly layers: LayerStore;
  readonly blobs: LayerBlobs;
  readonly local: LocalLayers;
  /** What brings layers to a registry beforehand. */
  readonly uploads: LayerUploads | undefined;
}

/** As BuildKit notes it on layers, which it keeps in manifests of OCI's. */
const REWRITTEN = 'buildkit/rewritten-timestamp';

/** Layers that are worked on at once: compressing uses several threads by itself. */
const AT_ONCE = 2;

/** Turns layers into blobs: those that exist already are taken as they are, the others are compressed once. */
export class LayerExport {
  readonly #ports: LayerExportPorts;
  readonly #slots = new Semaphore(AT_ONCE);

  constructor(ports: LayerExportPorts) {
    this.#ports = ports;
  }

  /** Bottom first. */
  async layers(built: Ref | undefined, options: LayerExportOptions): Promise<ExportedLayer[]> {
    if (built === undefined) return [];
    const ref = built.kind === 'layers' ? built : await this.#ports.local.import(built, options);
    const chain = chainIds(ref.layers.map(({ diffId }) => diffId));
    const ways = ref.layers.map((layer, i) => wayOf(layer, i, options));
    if (ref.layers.some(({ remote }, i) => remote && ways[i] !== 'as-it-is')) {
      await this.#ports.local.require(ref, options);
    }
    return Promise.all(
      ref.layers.map((layer, i) => {
        if (ways[i] === 'as-it-is')
          return asItIs(layer, options, (signal) => this.#openRemote(layer, signal));
        const stacked = { chainId: chain[i]!, diffId: layer.diffId };
        const tar = (lending?: TarOptions) => this.#ports.layers.tar(stacked, lending);
        return this.#slots.run(async () => {
          options.signal.throwIfAborted();
          if (ways[i] === 'compressed') {
            const brought = await this.#brought(stacked, options);
            return brought ? this.#stored(layer, brought, options) : this.#compressed(layer, tar, options);
          }
          return this.#rewritten(layer, tar, options.rewrite!.epoch, options);
        });
      }),
    );
  }

  async #compressed(
    layer: Pick<RefLayer, 'diffId' | 'createdAt'>,
    tar: (options: TarOptions) => AsyncIterable<Uint8Array>,
    options: LayerExportOptions,
  ): Promise<ExportedLayer> {
    const { compression } = options;
    return this.#stored(
      layer,
      await this.#ports.blobs.compressed(layer.diffId, tar, { compression }),
      options,
    );
  }

  /** Sent while it is compressed, where it goes to the registry that layers are brought to anyway. */
  async #brought(
    layer: Pick<LayerRow, 'diffId' | 'chainId'>,
    { compression, pushedTo, signal }: LayerExportOptions,
  ): Promise<LayerBlob | undefined> {
    if (pushedTo === undefined || compression) return undefined;
    return this.#ports.uploads?.now(layer, pushedTo, signal);
  }

  #stored(
    { diffId, createdAt }: Pick<RefLayer, 'diffId' | 'createdAt'>,
    blob: LayerBlob,
    { oci }: LayerExportOptions,
  ): ExportedLayer {
    const { mediaType, digest, size } = blob;
    return {
      descriptor: { mediaType: converted(mediaType, oci), digest, size },
      diffId,
      ...(createdAt && { createdAt }),
      open: () => this.#openBlob(blob),
    };
  }

  /** Read twice: a layer is compressed under its diff ID, which only its rewritten bytes tell. */
  async #rewritten(
    { createdAt }: RefLayer,
    tar: () => AsyncIterable<Uint8Array>,
    epoch: Date,
    options: LayerExportOptions,
  ): Promise<ExportedLayer> {
    const digester = new Digester();
    for await (const chunk of rewriteTimes(tar(), epoch)) {
      options.signal.throwIfAborted();
      digester.update(chunk);
    }
    const layer = { diffId: digester.digest(), ...(createdAt && { createdAt }) };
    const exported = await this.#compressed(layer, () => rewriteTimes(tar(), epoch), options);
    if (!options.oci) return exported;
    const annotations = { [REWRITTEN]: String(Math.floor(epoch.getTime() / 1000)) };
    return { ...exported, descriptor: { ...exported.descriptor, annotations } };
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

function wayOf(
  { diffId, remote }: RefLayer,
  position: number,
  { compression, force, rewrite }: LayerExportOptions,
): 'as-it-is' | 'compressed' | 'rewritten' {
  if (rewrite && rewrite.base[position] !== diffId) return 'rewritten';
  const fits =
    !compression || !force || (remote && compressionOf(remote.descriptor.mediaType) === compression.type);
  return remote && fits ? 'as-it-is' : 'compressed';
}

function asItIs(
  { diffId, createdAt, remote }: RefLayer,
  { oci, keepForeign }: LayerExportOptions,
  open: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
): ExportedLayer {
  const { mediaType, digest, size, urls } = remote!.descriptor;
  const elsewhere = keepForeign && urls && isForeignLayerType(mediaType);
  return {
    descriptor: elsewhere
      ? { mediaType: foreignType(mediaType, oci), digest, size, urls }
      : { mediaType: converted(mediaType, oci), digest, size },
    diffId,
    ...(createdAt && { createdAt }),
    open: ({ signal }) => open(signal),
  };
}

/** As `converted`, of what is elsewhere. */
function foreignType(mediaType: string, oci: boolean): string {
  const [from, to] = ['rootfs.diff.tar', 'rootfs.foreign.diff.tar'];
  const type = converted(mediaType, oci);
  return oci ? type.replace('layer.v1', 'layer.nondistributable.v1') : type.replace(from, to);
}

/** The same blob's type in the other family of words. */
function converted(mediaType: string, oci: boolean): string {
  return layerMediaType(compressionOf(mediaType), oci);
}
