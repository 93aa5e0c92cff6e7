import { formatPlatform, type Platform, parsePlatform } from '#oci/platform.ts';

/** As containerd's `platforms.Normalize`: what means the same is written the same. */
export function normalizePlatform(platform: Platform): Platform {
  const { variant, ...rest } = platform;
  if (rest.architecture === 'arm' && !variant) return { ...rest, variant: 'v7' };
  if (!variant || (rest.architecture === 'amd64' && variant === 'v1')) return rest;
  if (rest.architecture === 'arm64' && /^v?8(?:\.0)?$/.test(variant)) return rest;
  return { ...rest, variant: /^\d/.test(variant) ? `v${variant}` : variant };
}

/** `linux/arm64` and the like, normalised. Throws `invalid`. */
export function readPlatform(text: string): Platform {
  return normalizePlatform(parsePlatform(text));
}

/** How results are keyed, and what TARGETPLATFORM says: with the version of the operating system, if there is one. */
export function platformId(platform: Platform): string {
  const normalized = normalizePlatform(platform);
  const version = normalized['os.version'];
  return formatPlatform(version ? { ...normalized, os: `${normalized.os}(${version})` } : normalized);
}
