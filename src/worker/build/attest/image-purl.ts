import { PackageURL } from 'packageurl-js';
import { formatPlatform, type Platform } from '#oci/platform.ts';
import { familiarName, parseImageReference, withDefaultTag } from '#oci/reference.ts';

/** An image as a package URL (package-url/purl-spec), as BuildKit writes it: `pkg:docker/name@tag?platform=…`. */
export function imagePurl(reference: string, platform: Platform | undefined, type = 'docker'): string {
  const parsed = withDefaultTag(parseImageReference(reference));
  const path = familiarName(parsed).split('/');
  const name = path.pop()!;
  const qualifiers = {
    ...(parsed.digest && { digest: parsed.digest }),
    ...(platform && { platform: formatPlatform(platform) }),
  };
  // BuildKit's names of OCI layouts have slashes, which the library has for Docker's names only.
  const purl = new PackageURL(
    'docker',
    path.join('/') || undefined,
    name,
    parsed.tag,
    qualifiers,
    undefined,
  ).toString();
  return purl.replace('pkg:docker/', `pkg:${type}/`);
}
