import type { FetchedManifest, Fetcher } from '#distribution/fetcher.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import type { Platform } from '#oci/platform.ts';
import { parseManifest } from '#worker/images/pull/manifest-parser.ts';
import { selectManifest } from '#worker/images/pull/platform-selection.ts';
import type { AttestationChain } from '../../policy/source-meta.ts';

/** A bundle of sigstore's, which is preferred, and what cosign made before there were any. */
const SIGNATURES = [
  'application/vnd.dev.sigstore.bundle.v0.3+json',
  'application/vnd.dev.cosign.artifact.sig.v1+json',
];
const MAX_STATEMENT_BYTES = 16 * 1024 * 1024;

/** The documents by which an image of an index is attested and signed, as far as there are any. */
export async function readAttestations(
  source: Pick<Fetcher, 'manifest' | 'smallBlob' | 'referrers'>,
  root: FetchedManifest,
  {
    platform,
    predicates,
    signal,
  }: { platform: Platform; predicates: readonly string[]; signal: AbortSignal },
): Promise<AttestationChain | undefined> {
  if (root.mediaType !== MEDIA_TYPE.ociIndex) return undefined;
  const parsed = parseManifest(root.mediaType, root.payload);
  if (parsed.kind !== 'index') return undefined;
  const { manifests } = parsed.index;
  const { digest: imageManifest } = selectManifest(manifests, platform);
  const blobs = [{ descriptor: descriptorOf(root), data: root.payload as Uint8Array }];
  const chain = { root: root.digest, imageManifest, signatureManifests: [], blobs };
  const attestation = manifests.find(({ annotations }) => isAttestationOf(annotations, imageManifest));
  if (!attestation) return chain;
  const add = async (descriptor: Descriptor) => {
    const data = await source.smallBlob(descriptor, MAX_STATEMENT_BYTES, { signal });
    blobs.push({ descriptor, data });
  };
  const addManifest = async (descriptor: Descriptor) => {
    const { payload, mediaType } = await source.manifest(descriptor.digest, { signal });
    blobs.push({ descriptor, data: payload });
    const document = parseManifest(mediaType, payload);
    return document.kind === 'manifest' ? document.manifest.layers : [];
  };
  for (const statement of await addManifest(attestation)) {
    const type = statement.annotations?.['in-toto.io/predicate-type'] ?? '';
    if (predicates.includes(type)) await add(statement);
  }
  const referrers = await source.referrers(attestation.digest, { signal });
  const signature = SIGNATURES.flatMap((type) =>
    referrers.filter(({ artifactType }) => artifactType === type),
  )[0];
  if (signature) for (const layer of await addManifest(signature)) await add(layer);
  const signatureManifests = signature ? [signature.digest] : [];
  return { ...chain, attestationManifest: attestation.digest, signatureManifests };
}

function isAttestationOf(annotations: Readonly<Record<string, string>> = {}, image: string): boolean {
  const kind = annotations['vnd.docker.reference.type'];
  return kind === 'attestation-manifest' && annotations['vnd.docker.reference.digest'] === image;
}

function descriptorOf({ digest, mediaType, payload }: FetchedManifest): Descriptor {
  return { digest, mediaType, size: payload.length };
}
