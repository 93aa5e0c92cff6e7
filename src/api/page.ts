import { z } from 'zod';
import { invalid } from '#errors/errors.ts';

/** The query of an operation that lists: extend it with filters. */
export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(100).describe('How many items at most.'),
  cursor: z.string().max(2000).optional().describe('`next` of the page before.'),
});

/** The reply of an operation that lists. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    next: z.string().optional().describe('The cursor of the next page; absent on the last one.'),
  });
}

/** A moment, such as `2026-01-31T12:00:00.000Z`. */
export const moment = z.iso.datetime({ offset: true });

/** A moment that a request gives, as milliseconds since 1970. */
export const givenMoment = moment.transform((text) => Date.parse(text));

/** How a moment in milliseconds since 1970 is written. */
export function isoTime(at: number): string {
  return new Date(at).toISOString();
}

/**
 * One page of what was found, when one more than the limit was asked for: `position` is where the next page goes on,
 * any JSON value.
 */
export function toPage<Item>(
  found: readonly Item[],
  limit: number,
  position: (last: Item) => unknown,
): { items: Item[]; next?: string } {
  const items = found.slice(0, limit);
  if (found.length <= limit) return { items };
  return { items, next: cursorOf(position(items.at(-1)!)) };
}

/** How a position is written. */
export function cursorOf(position: unknown): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

/** Reads a cursor that `cursorOf` wrote. Throws `invalid` for any other. */
export function readCursor<T extends z.ZodType>(
  schema: T,
  cursor: string | undefined,
): z.output<T> | undefined {
  if (cursor === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
  } catch (cause) {
    throw invalid('query: cursor: not one that this list gave', { code: 'invalid', cause });
  }
}
