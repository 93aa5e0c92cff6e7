import { invalid } from '#errors/errors.ts';
import type { EngineContext } from './router.ts';

export function stringQuery(ctx: EngineContext, name: string): string | undefined {
  const value = ctx.query[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Every value of a parameter that may be repeated. */
export function listQuery(ctx: EngineContext, name: string): string[] {
  const value = ctx.query[name];
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

/** As the engine reads booleans: absent is `fallback`; empty, `0`, `no`, `false`, `none` are false, the rest true. */
export function booleanQuery(ctx: EngineContext, name: string, fallback = false): boolean {
  const value = stringQuery(ctx, name);
  if (value === undefined) return fallback;
  return !['', '0', 'no', 'false', 'none'].includes(value.trim().toLowerCase());
}

/** Throws `invalid` for anything but a whole number. */
export function numberQuery(ctx: EngineContext, name: string): number | undefined {
  const value = stringQuery(ctx, name);
  if (value === undefined || value === '') return undefined;
  if (!/^-?\d{1,15}$/.test(value)) throw invalid(`invalid value for ${name}: ${JSON.stringify(value)}`);
  return Number(value);
}

/**
 * The `filters` parameter, in both wire forms: `{"label":{"a=b":true}}` and `{"label":["a=b"]}`. An absent or
 * empty one is an empty map. Throws `invalid`.
 */
export function filtersQuery(ctx: EngineContext): Map<string, string[]> {
  const text = stringQuery(ctx, 'filters');
  const filters = new Map<string, string[]>();
  if (!text) return filters;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw invalid(`invalid filter: ${text.slice(0, 200)}`, { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw invalid('invalid filter');
  for (const [name, values] of Object.entries(parsed)) {
    filters.set(name, filterValues(name, values));
  }
  return filters;
}

function filterValues(name: string, values: unknown): string[] {
  if (Array.isArray(values) && values.every((value) => typeof value === 'string')) return values;
  if (typeof values === 'object' && values !== null && !Array.isArray(values)) {
    return Object.entries(values).flatMap(([value, on]) => (on ? [value] : []));
  }
  throw invalid(`invalid filter '${name}'`);
}
