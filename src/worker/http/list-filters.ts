import { invalid } from '#errors/errors.ts';

/** Throws `invalid` in the engine's words for a filter that an endpoint does not know. */
export function checkFilters(filters: ReadonlyMap<string, unknown>, known: readonly string[]): void {
  for (const name of filters.keys()) if (!known.includes(name)) throw invalid(`invalid filter '${name}'`);
}

/** Whether one of the patterns is in the text; `^` and `$` tie it to the beginning and the end. */
export function matchesPattern(text: string, patterns: readonly string[] | undefined): boolean {
  if (!patterns || patterns.length === 0) return true;
  return patterns.some((pattern) => {
    const atStart = pattern.startsWith('^');
    const atEnd = pattern.endsWith('$');
    const plain = pattern.slice(atStart ? 1 : 0, atEnd ? -1 : undefined);
    if (atStart && atEnd) return text === plain;
    if (atStart) return text.startsWith(plain);
    return atEnd ? text.endsWith(plain) : text.includes(plain);
  });
}

/** The one value of a yes-or-no filter; undefined when it is absent. Throws `invalid`. */
export function booleanFilter(
  filters: ReadonlyMap<string, readonly string[]>,
  name: string,
): boolean | undefined {
  const values = filters.get(name);
  if (!values || values.length === 0) return undefined;
  const [value = ''] = values;
  if (values.length === 1 && ['true', '1'].includes(value.toLowerCase())) return true;
  if (values.length === 1 && ['false', '0'].includes(value.toLowerCase())) return false;
  throw invalid(`invalid filter '${name}=[${values.join(' ')}]'`);
}
