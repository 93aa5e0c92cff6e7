import { isIndexType } from '#oci/media-type.ts';
import type { Tag } from '#oci/reference.ts';
import { isReferrersTag } from '#oci/referrers-tag.ts';
import type { ManifestDocument } from './manifest-document.ts';

/** What someone who pushed this may want to know, though nothing is wrong with it. `missing` is how much it lacks. */
export function manifestWarnings(
  document: ManifestDocument,
  tags: readonly Tag[],
  missing: number,
): string[] {
  const { mediaType, foreignBlobs } = document;
  const index = isIndexType(mediaType);
  const warnings: string[] = [];
  if (missing > 0) {
    const lack = index ? 'the manifests that this index names' : 'the blobs that this image names';
    warnings.push(`${missing} of ${lack} are not in the repository.`);
  }
  if (foreignBlobs.length > 0) {
    warnings.push(
      `${foreignBlobs.length} layers are to be fetched from elsewhere. Such layers are deprecated.`,
    );
  }
  if (index && tags.some(isReferrersTag)) {
    warnings.push('This registry has the referrers API: an index under a referrers tag is not needed.');
  }
  return warnings;
}
