import type { Descriptor } from '#oci/descriptor.ts';
import type { Manifest } from '#oci/manifest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { type Attestation, digestSet, IN_TOTO_MEDIA_TYPE, statementOf } from '../attest/attestation.ts';
import { imagePurl } from '../attest/image-purl.ts';
import { documentOf, type ExportedDocument, jsonOf } from './exported-document.ts';
import type { ExportedLayer } from './layer-export.ts';
import type { ResultPlatform } from './result-platforms.ts';

export interface ExportedAttestations {
  readonly manifest: ExportedDocument;
  /** Its configuration and its statements. */
  readonly blobs: readonly ExportedDocument[];
}

/** The platform of what is no image, so that nobody takes it for one. */
const UNKNOWN = { architecture: 'unknown', os: 'unknown' };

/**
 * What is stated of an image, the way that BuildKit attaches it (docs/attestations/attestation-storage.md): a manifest
 * in the image's index. It names the image as its subject too, so registries list it among the referrers.
 */
export function attestationManifest(
  attestations: readonly Attestation[],
  image: {
    readonly platform: ResultPlatform;
    readonly manifest: ExportedDocument;
    readonly layers: readonly ExportedLayer[];
  },
  names: readonly string[],
): ExportedAttestations {
  const { digest, mediaType, size } = image.manifest.descriptor;
  const subjects = names.map((name) => ({
    name: imagePurl(name, image.platform.platform),
    digest: digestSet(digest),
  }));
  const blobs = new Map(image.layers.map(({ diffId, descriptor }) => [diffId, descriptor]));
  const complete = attestations.map(({ withLayers, ...attestation }) =>
    withLayers ? { ...attestation, predicate: withLayers(blobs) } : attestation,
  );
  const statements = complete.map((attestation) =>
    documentOf(statementOf(attestation, subjects), IN_TOTO_MEDIA_TYPE, {
      annotations: { 'in-toto.io/predicate-type': attestation.predicateType },
    }),
  );
  const rootfs = { type: 'layers', diff_ids: statements.map(({ descriptor }) => descriptor.digest) };
  const config = documentOf(jsonOf({ ...UNKNOWN, config: {}, rootfs }), MEDIA_TYPE.ociConfig);
  const subject: Descriptor = { mediaType, digest, size };
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    artifactType: 'application/vnd.docker.attestation.manifest.v1+json',
    config: config.descriptor,
    layers: statements.map(({ descriptor }) => descriptor),
    subject,
  };
  const written = documentOf(jsonOf(manifest), MEDIA_TYPE.ociManifest, {
    platform: UNKNOWN,
    annotations: {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': digest,
    },
  });
  return { manifest: written, blobs: [config, ...statements] };
}
