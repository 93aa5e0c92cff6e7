import { type Digest, digestOf } from '#oci/digest.ts';
import type { Manifest } from '#oci/manifest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { StoredManifest } from '../image-repository.ts';
import type { LayerBlob } from '../layer-repository.ts';

/**
 * The manifest of an image that came without one: Docker's schema 2, which every registry and engine reads; or
 * OCI's, where a layer is compressed in a way that only that has a type for. The same image gives the same bytes.
 */
export function makeManifest(id: Digest, rawConfig: Uint8Array, blobs: readonly LayerBlob[]): StoredManifest {
  const oci = blobs.some((blob) => blob.mediaType.endsWith('+zstd'));
  const mediaType = oci ? MEDIA_TYPE.ociManifest : MEDIA_TYPE.dockerManifest;
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType,
    config: {
      mediaType: oci ? MEDIA_TYPE.ociConfig : MEDIA_TYPE.dockerConfig,
      size: rawConfig.length,
      digest: id,
    },
    layers: blobs.map((blob) => ({
      mediaType: oci ? ociType(blob) : MEDIA_TYPE.dockerLayerGzip,
      size: blob.size,
      digest: blob.digest,
    })),
  };
  const payload = Buffer.from(JSON.stringify(manifest, null, 3));
  return { digest: digestOf(payload), mediaType, payload };
}

function ociType(blob: LayerBlob): string {
  return blob.mediaType.endsWith('+zstd') ? MEDIA_TYPE.ociLayerZstd : MEDIA_TYPE.ociLayerGzip;
}
