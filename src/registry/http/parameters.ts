import type { Context } from 'koa';
import { invalid, notFound } from '#errors/errors.ts';
import { type Digest, parseDigest } from '#oci/digest.ts';
import { isTag, parseTag } from '#oci/reference.ts';
import type { ManifestReference } from '../manifests/manifests.ts';

/** The path of an endpoint below a repository: `endpoint('/manifests/([^/]+)')`. Names have slashes. */
export function endpoint(rest: string): RegExp {
  return new RegExp(`^/v2/(.+)${rest}$`);
}

/** The digest in the path. Throws `invalid`, `DIGEST_INVALID`. */
export function digestIn(ctx: Context): Digest {
  return parseDigest(segment(ctx, 1));
}

/**
 * The tag or digest in the path of a manifest that should be there: what cannot be one names nothing. A digest
 * that is malformed is the client's mistake all the same.
 */
export function existingReference(ctx: Context): ManifestReference {
  const text = segment(ctx, 1);
  if (text.includes(':')) return { digest: parseDigest(text) };
  if (isTag(text)) return { tag: text };
  throw notFound('manifest unknown', { code: 'MANIFEST_UNKNOWN' });
}

/** The tag or digest that a manifest shall have. Throws `invalid`. */
export function newReference(ctx: Context): ManifestReference {
  const text = segment(ctx, 1);
  return text.includes(':') ? { digest: parseDigest(text) } : { tag: parseTag(text) };
}

/** The `index`th variable part of the path, decoded. */
export function segment(ctx: Context, index: number): string {
  const raw: string = ctx.captures?.[index + 1] ?? '';
  if (!raw.includes('%')) return raw;
  try {
    return decodeURIComponent(raw);
  } catch {
    throw invalid('malformed percent-encoding in the path', { code: 'NAME_INVALID' });
  }
}

/** One value of the query; the first one of several. Throws `invalid` for what no name and no type has in it. */
export function queryValue(ctx: Context, name: string): string | undefined {
  return queryValues(ctx, name)[0];
}

/** All values of a repeatable parameter. */
export function queryValues(ctx: Context, name: string): string[] {
  if (!ctx.req.url!.includes('?')) return [];
  const value = ctx.query[name];
  const values = value === undefined ? [] : Array.isArray(value) ? value : [value];
  if (values.some((text) => /\p{Cc}/u.test(text))) throw invalid(`${name} has a control character in it`);
  return values;
}
