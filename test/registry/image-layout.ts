import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Digest, digestOf, hexOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { END_OF_ARCHIVE, encodeEntry, padding } from '#tar/writer.ts';

/**
 * Writes an OCI image layout with one image, busybox in one layer, tagged `latest`; returns its digest. `layer`:
 * `busyboxTar`, as somebody else has compressed it.
 */
export function writeImageLayout(folder: string, layer?: Uint8Array): Digest {
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  const store = (bytes: Uint8Array, mediaType: string) => {
    const digest = digestOf(bytes);
    writeFileSync(join(folder, 'blobs/sha256', hexOf(digest)), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const tar = busyboxTar();
  const image = {
    architecture: 'amd64',
    os: 'linux',
    config: { Cmd: ['/bin/busybox', 'true'] },
    rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
  };
  const manifest = store(
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.ociManifest,
        config: store(Buffer.from(JSON.stringify(image)), MEDIA_TYPE.ociConfig),
        layers: [store(layer ?? gzipSync(tar), MEDIA_TYPE.ociLayerGzip)],
      }),
    ),
    MEDIA_TYPE.ociManifest,
  );
  const annotations = { 'org.opencontainers.image.ref.name': 'latest' };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  writeFileSync(join(folder, 'index.json'), JSON.stringify(index));
  writeFileSync(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  return manifest.digest;
}

export function busyboxTar(): Buffer {
  const busybox = readFileSync('/bin/busybox');
  const owner = { uid: 0, gid: 0, mtime: 0 };
  return Buffer.concat([
    encodeEntry({ ...owner, type: 'directory', path: 'bin', mode: 0o755, size: 0 }),
    encodeEntry({ ...owner, type: 'file', path: 'bin/busybox', mode: 0o755, size: busybox.length }),
    busybox,
    padding(busybox.length),
    END_OF_ARCHIVE,
  ]);
}
