import { algorithmOf, type Digest, hexOf } from './digest.ts';
import type { Tag } from './reference.ts';

/**
 * The tag under which clients keep an index of what refers to a digest, where a registry cannot tell them (OCI
 * distribution-spec, "Referrers Tag Schema"): the digest with a dash, cut off after 64 characters of hex.
 */
export function referrersTag(subject: Digest): Tag {
  return `${algorithmOf(subject)}-${hexOf(subject).slice(0, 64)}` as Tag;
}

export function isReferrersTag(tag: Tag): boolean {
  return /^sha(?:256|512)-[0-9a-f]{64}$/.test(tag);
}
