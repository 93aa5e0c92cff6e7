import { invalid } from '#errors/errors.ts';

/** A field's value; undefined: it is not there. */
export type FieldReader<T> = (item: T, field: string) => string | undefined;

const CLAUSE = /^([\w.-]+)(?:(==|!=|~=|>=|<=|>|<)(?:"((?:[^"\\]|\\.)*)"|([^,"]*)))?(?:,|$)/;

type Clause = { readonly field: string; readonly test: (value: string | undefined) => boolean };

/**
 * containerd's filters (pkg/filters): each is clauses of `field`, `field==value`, `!=` and `~=` (a regular expression) with
 * commas between that all have to hold; of several filters one has to. None lets everything pass. Throws `invalid`.
 */
export function itemFilter<T>(filters: readonly string[], read: FieldReader<T>): (item: T) => boolean {
  const parsed = filters.filter((text) => text !== '').map(clausesOf);
  if (parsed.length === 0) return () => true;
  return (item) => parsed.some((clauses) => clauses.every(({ field, test }) => test(read(item, field))));
}

function clausesOf(text: string): Clause[] {
  const clauses: Clause[] = [];
  for (let rest = text; rest !== ''; ) {
    const [all, field, operator, quoted, bare] = CLAUSE.exec(rest) ?? [];
    if (all === undefined || field === undefined)
      throw invalid(`cannot parse filter ${JSON.stringify(text)}`);
    const value = quoted === undefined ? (bare ?? '') : quoted.replace(/\\(.)/g, '$1');
    clauses.push({ field, test: testOf(operator, value, text) });
    rest = rest.slice(all.length);
  }
  return clauses;
}

function testOf(operator: string | undefined, wanted: string, text: string): Clause['test'] {
  switch (operator) {
    case undefined:
      return (value) => value !== undefined && value !== '' && value !== 'false';
    case '==':
      return (value) => value === wanted;
    case '!=':
      return (value) => value !== wanted;
    case '~=': {
      // Anything that a client may write would be too much: an expression can be made to take forever.
      const literal = wanted.replace(/^\^|\$$/g, '');
      if (/[\\^$*+?()[\]{}|]/.test(literal.replaceAll('.*', ''))) {
        throw invalid(`regular expressions beyond '.*' are not supported: ${JSON.stringify(text)}`);
      }
      const parts = literal.split('.*');
      const [start, end] = [wanted.startsWith('^'), wanted.endsWith('$')];
      return (value) => value !== undefined && matchesParts(value, parts, { start, end });
    }
    default: {
      const order = (value: string) => Number(value) - Number(wanted) || value.localeCompare(wanted);
      const holds = {
        '>': (n: number) => n > 0,
        '<': (n: number) => n < 0,
        '>=': (n: number) => n >= 0,
        '<=': (n: number) => n <= 0,
      }[operator];
      return (value) => value !== undefined && holds?.(order(value)) === true;
    }
  }
}

/** Whether the parts are in the text one after the other. */
function matchesParts(
  text: string,
  parts: readonly string[],
  { start, end }: { start: boolean; end: boolean },
): boolean {
  let at = 0;
  for (const [index, part] of parts.entries()) {
    const last = index === parts.length - 1;
    if (end && last) {
      const place = text.length - part.length;
      return place >= at && text.endsWith(part) && !(start && index === 0 && place !== 0);
    }
    const found = text.indexOf(part, at);
    if (found < 0 || (start && index === 0 && found !== 0)) return false;
    at = found + part.length;
  }
  return true;
}
