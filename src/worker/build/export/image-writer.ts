import { invalid } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import type { Index, Manifest } from '#oci/manifest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { AnnotationSet, type Annotations } from './annotations.ts';
import { attestationManifest, type ExportedAttestations } from './attestation-manifest.ts';
import { epochAttr } from './export-attrs.ts';
import type { ExportStep } from './export-step.ts';
import { exportedConfig, parseConfig } from './exported-config.ts';
import { documentOf, type ExportedDocument, jsonOf } from './exported-document.ts';
import type { SolvedResult } from './exporter.ts';
import type { ImageOptions } from './image-options.ts';
import type { ExportedLayer, LayerExport } from './layer-export.ts';
import { isMap, metadataOf, type ResultPlatform, resultPlatforms, statedOf } from './result-platforms.ts';

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
  readonly attestations: readonly ExportedAttestations[];
  readonly index: ExportedDocument | undefined;
  /** Of the index, else of the manifest. */
  readonly root: Descriptor;
}

/** All of it but the layers, what refers to others after those. */
export function documentsOf({ images, attestations, index }: ExportedResult): ExportedDocument[] {
  return [
    ...images.flatMap(({ config, manifest }) => [config, manifest]),
    ...attestations.flatMap(({ blobs, manifest }) => [...blobs, manifest]),
    ...(index ? [index] : []),
  ];
}

export interface WriterOptions extends ImageOptions {
  readonly ociTypes: boolean;
  /** The registry that the image is about to be pushed to. */
  readonly pushedTo?: string | undefined;
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
    const platforms = resultPlatforms(result);
    const attested = platforms.some((platform) => statedOf(result, platform).length > 0);
    const several = isMap(result) || attested;
    if (attested && !options.ociTypes) {
      throw invalid('cannot export attestations with "oci-mediatypes=false"');
    }
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
          const rewrite = rewriteOf(result, platform, options);
          const exported = this.#layers.layers(platform.ref, {
            compression: options.compression,
            force: options.forceCompression,
            oci: options.ociTypes,
            keepForeign: options.keepForeign,
            rewrite,
            ...(options.pushedTo !== undefined && { pushedTo: options.pushedTo }),
            signal: context.signal,
          });
          const name = rewrite && `rewriting layers with source-date-epoch ${shownEpoch(rewrite.epoch)}`;
          const layers = await (name ? context.step.phase(name, () => exported) : exported);
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
    const attestations: ExportedAttestations[] = [];
    for (const image of written) {
      const stated = statedOf(result, image.platform);
      if (stated.length === 0) continue;
      const attestation = attestationManifest(stated, image, options.names);
      attestations.push(attestation);
      await context.step.done(`exporting attestation manifest ${attestation.manifest.descriptor.digest}`);
    }
    const parts = [...written, ...attestations].map(({ manifest }) => manifest.descriptor);
    const index = several
      ? await this.#index(parts, annotations.for(written[0]!.platform.platform), options, context.step)
      : undefined;
    return { images: written, attestations, index, root: (index ?? written[0]!.manifest).descriptor };
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
    const { inlineCache } = result;
    const diffIds = layers.map(({ diffId }) => diffId);
    const cache =
      inlineCache &&
      (await step.phase('preparing layers for inline cache', () => inlineCache(platform.id, diffIds)));
    const configBytes = exportedConfig({
      config: metadataOf(result, 'containerimage.config', platform),
      layers,
      epoch: wantedEpoch(result, platform, options),
      base: metadataOf(result, 'containerimage.base.config', platform),
      cache,
    });
    const config = documentOf(configBytes, oci ? MEDIA_TYPE.ociConfig : MEDIA_TYPE.dockerConfig);
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: oci ? MEDIA_TYPE.ociManifest : MEDIA_TYPE.dockerManifest,
      config: config.descriptor,
      layers: layers.map(({ descriptor }) => descriptor),
      ...unlessEmpty('annotations', annotations.manifest),
    };
    const written = documentOf(jsonOf(manifest), manifest.mediaType!, {
      platform: platform.platform,
      ...unlessEmpty('annotations', annotations['manifest-descriptor']),
    });
    await step.done(`exporting manifest ${written.descriptor.digest}`);
    await step.done(`exporting config ${config.descriptor.digest}`);
    return { platform, layers, config, manifest: written };
  }

  async #index(
    manifests: readonly Descriptor[],
    annotations: Annotations,
    options: WriterOptions,
    step: ExportStep,
  ): Promise<ExportedDocument> {
    const mediaType = options.ociTypes ? MEDIA_TYPE.ociIndex : MEDIA_TYPE.dockerManifestList;
    const index: Index = {
      schemaVersion: 2,
      mediaType,
      manifests,
      ...unlessEmpty('annotations', annotations.index),
    };
    const written = documentOf(
      jsonOf(index),
      mediaType,
      unlessEmpty('annotations', annotations['index-descriptor']),
    );
    await step.done(`exporting manifest list ${written.descriptor.digest}`);
    return written;
  }
}

/** As Go prints it: `0 (1970-01-01 00:00:00 +0000 UTC)`. */
function shownEpoch(epoch: Date): string {
  const date = epoch
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' +0000 UTC');
  return `${Math.floor(epoch.getTime() / 1000)} (${date})`;
}

/** Without a time to rewrite to there is nothing to rewrite, as in BuildKit. */
function rewriteOf(result: SolvedResult, platform: ResultPlatform, options: WriterOptions) {
  const epoch = wantedEpoch(result, platform, options);
  if (!options.rewriteTimestamp || !epoch) return undefined;
  const base = metadataOf(result, 'containerimage.base.config', platform);
  return { epoch, base: base ? (parseConfig(base).rootfs?.diff_ids ?? []) : [] };
}

/** What was said to the exporter, or to the frontend. */
export function wantedEpoch(
  result: SolvedResult,
  platform: ResultPlatform,
  { epoch }: Pick<WriterOptions, 'epoch'>,
): Date | undefined {
  return epoch === undefined ? epochOf(result, platform) : (epoch ?? undefined);
}

/** SOURCE_DATE_EPOCH as the frontend was told. */
function epochOf(result: SolvedResult, platform: ResultPlatform): Date | undefined {
  const value = metadataOf(result, 'source.date.epoch', platform);
  return value && epochAttr('SOURCE_DATE_EPOCH', Buffer.from(value).toString('utf8'));
}

function unlessEmpty<N extends string, T extends object>(name: N, value: T): { [K in N]?: T } {
  return Object.keys(value).length === 0 ? {} : ({ [name]: value } as { [K in N]?: T });
}
