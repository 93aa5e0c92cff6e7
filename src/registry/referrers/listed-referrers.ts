import type { Descriptor } from '#oci/descriptor.ts';
import type { Digest } from '#oci/digest.ts';

/** The descriptors in an index that was stored: each digest once, with the members that a referrer has. */
export function listedReferrers(payload: Uint8Array): Descriptor[] {
  const { manifests } = JSON.parse(Buffer.from(payload).toString()) as {
    manifests: Record<string, unknown>[];
  };
  const found = new Map(manifests.map((entry) => [entry.digest, referrer(entry)]));
  return [...found.values()];
}

/** Digests and sizes were checked when the index was pushed, the rest of its entries was not. */
function referrer(entry: Readonly<Record<string, unknown>>): Descriptor {
  const { mediaType, digest, size, artifactType, annotations } = entry;
  return {
    mediaType: typeof mediaType === 'string' ? mediaType : '',
    digest: digest as Digest,
    size: size as number,
    ...(typeof artifactType === 'string' && artifactType !== '' && { artifactType }),
    ...(areAnnotations(annotations) && { annotations }),
  };
}

function areAnnotations(value: unknown): value is Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((item) => typeof item === 'string');
}
