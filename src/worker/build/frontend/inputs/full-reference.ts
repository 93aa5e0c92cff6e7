import { parseImageReference, withDefaultTag } from '#oci/reference.ts';

/** An image's name with domain, path, and a tag or digest. Throws `invalid`. */
export function fullReference(name: string): string {
  const { domain, path, tag, digest } = withDefaultTag(parseImageReference(name));
  return `${domain}/${path}${tag ? `:${tag}` : ''}${digest ? `@${digest}` : ''}`;
}

export function hasDigest(reference: string): boolean {
  return reference.includes('@');
}
