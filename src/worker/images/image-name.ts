import type { Digest } from '#oci/digest.ts';
import {
  familiarReference,
  type ImageReference,
  parseImageReference,
  withDefaultTag,
} from '#oci/reference.ts';

/** The key of a name in the store: full, with its tag. `busybox` is `docker.io/library/busybox:latest`. */
export function fullName(reference: ImageReference): string {
  const { tag } = withDefaultTag({ ...reference, digest: undefined });
  return `${fullRepository(reference)}:${tag}`;
}

export function fullRepository(reference: Pick<ImageReference, 'domain' | 'path'>): string {
  return `${reference.domain}/${reference.path}`;
}

/** `docker.io/library/busybox:latest` as people write it. Also for repositories without tag. */
export function familiar(full: string): string {
  return familiarReference(parseImageReference(full));
}

/** An ID as people see it: 12 digits. */
export function shortId(id: Digest): string {
  return id.slice(id.indexOf(':') + 1).slice(0, 12);
}
