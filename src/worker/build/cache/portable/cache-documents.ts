import type { Descriptor } from '#oci/descriptor.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { compressionOf, layerMediaType } from '#worker/images/compression.ts';
import { documentOf, type ExportedDocument } from '../../export/exported-document.ts';
import type { ExportedLayer } from '../../export/layer-export.ts';
import { CACHE_CONFIG_TYPE, type CacheConfig, writeCacheConfig } from './cache-config.ts';
import { CREATED_AT, DIFF_ID } from './record-index.ts';

/** The documents of an exported cache. */
export interface CacheDocuments {
  readonly config: ExportedDocument;
  readonly manifest: ExportedDocument;
}

/** `layers`: each that the config speaks of, once. */
export function cacheDocuments(
  described: CacheConfig,
  layers: readonly ExportedLayer[],
  { ociTypes, imageManifest }: { ociTypes: boolean; imageManifest: boolean },
): CacheDocuments {
  const config = documentOf(writeCacheConfig(described), CACHE_CONFIG_TYPE);
  const blobs = layers.map((layer) => descriptorOf(layer, ociTypes));
  const manifest = imageManifest
    ? {
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.ociManifest,
        config: config.descriptor,
        layers: blobs,
      }
    : {
        schemaVersion: 2,
        mediaType: ociTypes ? MEDIA_TYPE.ociIndex : MEDIA_TYPE.dockerManifestList,
        manifests: [...blobs, config.descriptor],
      };
  return { config, manifest: documentOf(Buffer.from(JSON.stringify(manifest)), manifest.mediaType) };
}

function descriptorOf({ descriptor, diffId, createdAt }: ExportedLayer, oci: boolean): Descriptor {
  const { mediaType, digest, size } = descriptor;
  const created = createdAt && { [CREATED_AT]: createdAt.toISOString() };
  return {
    mediaType: layerMediaType(compressionOf(mediaType), oci),
    digest,
    size,
    annotations: { [DIFF_ID]: diffId, ...created },
  };
}
