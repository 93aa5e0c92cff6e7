import type { Context } from 'koa';
import { invalid } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { ManifestReference } from '../manifests/manifests.ts';
import type { TagCondition } from '../manifests/manifests-repository.ts';

/**
 * What a push asks of its tag beforehand: `If-Match` and `If-None-Match` with the entity tags of GET, which are digests
 * in quotes, or `*` for any (RFC 9110, 13.1; OCI distribution-spec, "Pushing Manifests with Subject").
 */
export function tagCondition(ctx: Context, reference: ManifestReference): TagCondition | undefined {
  const [match, noneMatch] = [ctx.get('If-Match'), ctx.get('If-None-Match')];
  if (!('tag' in reference) || (match === '' && noneMatch === '')) return undefined;
  const [wanted, unwanted] = [entityTags(match), entityTags(noneMatch)];
  return {
    tag: reference.tag,
    holds: (current) =>
      (match === '' || isAmong(wanted, current)) && (noneMatch === '' || !isAmong(unwanted, current)),
  };
}

const ENTITY_TAG = /^(?:W\/)?"([^"]*)"$/;

function entityTags(header: string): '*' | readonly string[] {
  if (header === '' || header === '*') return header === '' ? [] : '*';
  return header.split(',').map((text) => {
    const match = ENTITY_TAG.exec(text.trim());
    if (!match) throw invalid('malformed entity tag', { detail: { header } });
    return match[1]!;
  });
}

function isAmong(tags: '*' | readonly string[], current: Digest | undefined): boolean {
  return current !== undefined && (tags === '*' || tags.includes(current));
}
