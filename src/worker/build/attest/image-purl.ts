import { formatPlatform, type Platform } from '#oci/platform.ts';
import { familiarName, parseImageReference, withDefaultTag } from '#oci/reference.ts';

/**
 * An image as a package URL (package-url/purl-spec), with the characters escaped that BuildKit escapes:
 * `pkg:docker/name@tag?platform=…`. Names of OCI layouts have slashes as well.
 */
export function imagePurl(reference: string, platform: Platform | undefined, type = 'docker'): string {
  const parsed = withDefaultTag(parseImageReference(reference));
  const path = familiarName(parsed).split('/').map(encodeURIComponent).join('/');
  const qualifiers = [
    ...(parsed.digest ? [`digest=${parsed.digest}`] : []),
    ...(platform ? [`platform=${encodeURIComponent(formatPlatform(platform))}`] : []),
  ];
  const version = parsed.tag ? `@${parsed.tag}` : '';
  return `pkg:${type}/${path}${version}${qualifiers.length > 0 ? `?${qualifiers.join('&')}` : ''}`;
}
