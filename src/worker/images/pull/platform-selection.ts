import { notFound } from '#errors/errors.ts';
import type { Descriptor } from '#oci/descriptor.ts';
import { isIndexType, isManifestType } from '#oci/media-type.ts';
import { formatPlatform, type Platform, platformMatches } from '#oci/platform.ts';

/**
 * The manifest of an index that runs on `wanted`: its own variant before none before an older one. Throws
 * `not-found` in Docker's words.
 */
export function selectManifest(manifests: readonly Descriptor[], wanted: Platform): Descriptor {
  const usable = manifests.filter(
    ({ mediaType, platform, annotations }) =>
      (isManifestType(mediaType) || isIndexType(mediaType)) &&
      // Attestations hide among the manifests under a platform that nothing is.
      annotations?.['vnd.docker.reference.type'] === undefined &&
      (platform === undefined || runsOn(wanted, platform)),
  );
  const ofVersion = usable.filter(({ platform }) => hasVersion(platform, wanted));
  const best = ofVersion.toSorted((a, b) => score(wanted, b.platform) - score(wanted, a.platform))[0];
  if (best) return best;
  throw notFound(`no matching manifest for ${formatPlatform(wanted)} in the manifest list entries`);
}

function runsOn(wanted: Platform, candidate: Platform): boolean {
  if (platformMatches(wanted, candidate)) return true;
  const { os, architecture } = candidate;
  if (wanted.os !== os || wanted.architecture !== architecture) return false;
  // arm/v6 runs on v7; amd64/v3 does not run on a plain amd64.
  return wanted.architecture === 'arm' && level(candidate) < level(wanted);
}

/** Containers of Windows need the version that they were made for. */
function hasVersion(candidate: Platform | undefined, wanted: Platform): boolean {
  const [asked, has] = [wanted['os.version'], candidate?.['os.version']];
  return wanted.os !== 'windows' || !asked || !has || asked === has;
}

function score(wanted: Platform, candidate: Platform | undefined): number {
  if (!candidate) return 0;
  if (candidate.variant === wanted.variant) return 1000;
  // Without a wish for a variant, the plainest runs on the most machines.
  return wanted.variant === undefined ? 500 - level(candidate) : 100 + level(candidate);
}

function level(platform: Platform): number {
  return Number(/^v(\d{1,2})/.exec(platform.variant ?? '')?.[1] ?? 0);
}
