import type { Context } from 'koa';
import { invalid } from '#errors/errors.ts';
import { queryValue } from './parameters.ts';

/** More are never listed at once; a Link leads to the rest. */
const MAX_PAGE = 10_000;

/**
 * Answers one page of a sorted list (OCI distribution-spec, "Listing Tags"): `n` bounds it, `last` is where the
 * page before ended, and a Link leads on when there is more. `list` gets how many to find and after which one.
 */
export async function page(
  ctx: Context,
  list: (limit: number, last: string | undefined) => Promise<string[]>,
): Promise<string[]> {
  const wanted = pageSize(ctx);
  const found = await list(wanted + 1, queryValue(ctx, 'last'));
  if (found.length <= wanted || wanted === 0) return found.slice(0, wanted);
  const items = found.slice(0, wanted);
  linkNext(ctx, { n: String(wanted), last: items.at(-1)! });
  return items;
}

/** A link to the next page: this path with another query. */
export function linkNext(ctx: Context, query: Record<string, string>): void {
  ctx.set('Link', `<${ctx.path}?${new URLSearchParams(query)}>; rel="next"`);
}

/** How many a client wants at once, or may have. Throws `invalid`. */
export function pageSize(ctx: Context): number {
  const text = queryValue(ctx, 'n');
  if (text === undefined || text === '') return MAX_PAGE;
  if (!/^\d+$/.test(text)) {
    throw invalid('n is not a number', { detail: { n: text } });
  }
  return Math.min(Number(text), MAX_PAGE);
}
