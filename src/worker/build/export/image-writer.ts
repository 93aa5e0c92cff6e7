import { invalid, unsupported } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import type { Index, Manifest } from '#oci/manifest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { Ref } from '../solve/ref.ts';
import { AnnotationSet } from './annotations.ts';
import { epochAttr } from './export-attrs.ts';
import type { ExportStep } from './export-step.ts';
import { exportedConfig } from './exported-config.ts';
import type { SolvedResult } from './exporter.ts';
import type { ImageOptions } from './image-options.ts';
import type { ExportedLayer, LayerExport } from './layer-export.ts';
import { metadataOf, type ResultPlatform, resultPlatforms } from './result-platforms.ts';

/** A manifest, an index or a configuration, byte for byte. */
export interface ExportedDocument {
  readonly descriptor: Descriptor;
  readonly payload: Uint8Array;
}

/** The image of one platform. */
export interface ExportedImage {
  readonly platform: ResultPlatform;
  readonly manifest: ExportedDocument;
  readonly config: ExportedDocument;
  readonly layers: readonly ExportedLayer[];
}

/** What a result comes to as an image: one manifest, or an index of several. */
export interface ExportedResult {
  readonly images: readonly ExportedImage[];
  readonly index: ExportedDocument | undefined;
  /** Of the index, else of the manifest. */
  readonly root: Descriptor;
}

export interface WriterOptions extends ImageOptions {
  readonly ociTypes: boolean;
}

/** Makes the documents of images. It stores nothing: an exporter takes them to where they belong. */
export class ImageWriter {
  readonly #layers: LayerExport;

  constructor(ports: { layers: LayerExport }) {
    this.#layers = ports.layers;
  }

  /** Throws `invalid` for attributes that contradict each other, or the result. */
  async write(
    result: SolvedResult,
    options: WriterOptions,
    context: { step: ExportStep; signal: AbortSignal },
  ): Promise<ExportedResult> {
    if (options.rewriteTimestamp) throw unsupported('rewrite-timestamp is not supported yet');
    const platforms = resultPlatforms(result);
    const several = platforms.length > 1 || result.metadata.has('refs.platforms');
    const said = Object.fromEntries(
      [...result.metadata].flatMap(([name, value]) =>
        name.startsWith('annotation') ? [[name, Buffer.from(value).toString('utf8')]] : [],
      ),
    );
    const annotations = options.annotations.with(AnnotationSet.parse(said).annotations);
    annotations.expectPlatforms(platforms.map(({ platform }) => platform));
    if (annotations.needOci && !options.ociTypes) {
      throw invalid('cannot export annotations with "oci-mediatypes=false"');
    }
    if (annotations.onIndex && !several) {
      throw invalid('index annotations not supported for single platform export');
    }
    const images = await context.step.phase('exporting layers', () =>
      Promise.all(
        platforms.map(async (platform) => {
          const layers = await this.#layers.layers(platform.ref, {
            compression: options.compression,
            force: options.forceCompression,
            oci: options.ociTypes,
            signal: context.signal,
          });
          return { platform, layers };
        }),
      ),
    );
    const written: ExportedImage[] = [];
    for (const { platform, layers } of images) {
      written.push(
        await this.#image(result, { platform, layers, annotations, several }, options, context.step),
      );
    }
    const index = several ? await this.#index(written, annotations, options, context.step) : undefined;
    return { images: written, index, root: (index ?? written[0]!.manifest).descriptor };
  }

  async #image(
    result: SolvedResult,
    image: {
      platform: ResultPlatform;
      layers: readonly ExportedLayer[];
      annotations: AnnotationSet;
      several: boolean;
    },
    options: WriterOptions,
    step: ExportStep,
  ): Promise<ExportedImage> {
    const { platform, layers } = image;
    const annotations = image.annotations.for(platform.platform);
    const oci = options.ociTypes;
    const configBytes = exportedConfig({
      config: metadataOf(result, 'containerimage.config', platform),
      layers: layersOf(platform.ref),
      epoch: options.epoch ?? epochOf(result, platform),
      base: metadataOf(result, 'containerimage.base.config', platform),
    });
    const config = document(configBytes, oci ? MEDIA_TYPE.ociConfig : MEDIA_TYPE.dockerConfig);
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: oci ? MEDIA_TYPE.ociManifest : MEDIA_TYPE.dockerManifest,
      config: config.descriptor,
      layers: layers.map(({ descriptor }) => descriptor),
      ...unlessEmpty('annotations', annotations.manifest),
    };
    const written = document(json(manifest), manifest.mediaType!, {
      platform: platform.platform,
      ...unlessEmpty('annotations', annotations['manifest-descriptor']),
    });
    await step.done(`exporting manifest ${written.descriptor.digest}`);
    await step.done(`exporting config ${config.descriptor.digest}`);
    return { platform, layers, config, manifest: written };
  }

  async #index(
    images: readonly ExportedImage[],
    annotations: AnnotationSet,
    options: WriterOptions,
    step: ExportStep,
  ): Promise<ExportedDocument> {
    const ofIndex = annotations.for(images[0]!.platform.platform);
    const mediaType = options.ociTypes ? MEDIA_TYPE.ociIndex : MEDIA_TYPE.dockerManifestList;
    const index: Index = {
      schemaVersion: 2,
      mediaType,
      manifests: images.map(({ manifest }) => manifest.descriptor),
      ...unlessEmpty('annotations', ofIndex.index),
    };
    const written = document(json(index), mediaType, unlessEmpty('annotations', ofIndex['index-descriptor']));
    await step.done(`exporting manifest list ${written.descriptor.digest}`);
    return written;
  }
}

function layersOf(ref: Ref | undefined) {
  return ref?.kind === 'layers' ? ref.layers : [];
}

function epochOf(result: SolvedResult, platform: ResultPlatform): Date | undefined {
  const value = metadataOf(result, 'source.date.epoch', platform);
  return value && epochAttr('SOURCE_DATE_EPOCH', Buffer.from(value).toString('utf8'));
}

function document(payload: Uint8Array, mediaType: string, more: Partial<Descriptor> = {}): ExportedDocument {
  const digest: Digest = digestOf(payload);
  return { descriptor: { mediaType, digest, size: payload.length, ...more }, payload };
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value, null, 2));
}

function unlessEmpty<N extends string, T extends object>(name: N, value: T): { [K in N]?: T } {
  return Object.keys(value).length === 0 ? {} : ({ [name]: value } as { [K in N]?: T });
}
