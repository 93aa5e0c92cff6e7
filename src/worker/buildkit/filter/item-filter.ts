import { RE2JS } from 're2js';
import { invalid } from '#errors/errors.ts';
import { FilterScanner, type FilterToken } from './filter-scanner.ts';

/** A field's value by its path; undefined: it is not there. */
export type FieldReader<T> = (item: T, field: readonly string[]) => string | undefined;

interface Selector {
  readonly field: readonly string[];
  readonly test: (value: string | undefined) => boolean;
}

const MAX_LENGTH = 10_000;

/**
 * containerd's filters (pkg/filters): each is selectors (`field`, `field==value`, `!=`, and `~=` with a regular expression,
 * which is Go's) with commas between, that all have to hold; of several filters one has to. None lets everything pass.
 * Throws `invalid`.
 */
export function itemFilter<T>(filters: readonly string[], read: FieldReader<T>): (item: T) => boolean {
  if (filters.length === 0) return () => true;
  const parsed = filters.map((text) => (text === '' ? [] : new FilterParser(text).selectors()));
  return (item) => parsed.some((selectors) => selectors.every(({ field, test }) => test(read(item, field))));
}

class FilterParser {
  readonly #scanner: FilterScanner;
  #token: FilterToken;

  constructor(text: string) {
    if (text.length > MAX_LENGTH) throw invalid(`a filter has at most ${MAX_LENGTH} characters`);
    this.#scanner = new FilterScanner(text);
    this.#token = this.#scanner.next();
  }

  selectors(): Selector[] {
    const selectors = [this.#selector()];
    while (this.#token.kind !== 'end') {
      const { kind, text } = this.#token;
      if (kind !== 'separator' || text !== ',') throw this.#refused(`unexpected input: ${text}`);
      this.#next();
      selectors.push(this.#selector());
    }
    return selectors;
  }

  #selector(): Selector {
    const field = [this.#field()];
    while (this.#token.kind === 'separator' && this.#token.text === '.') {
      this.#next();
      field.push(this.#field());
    }
    const { kind, text: operator } = this.#token;
    if (kind === 'separator' || kind === 'end') return { field, test: (value) => value !== undefined };
    if (kind !== 'operator') throw this.#refused('expected an operator ("=="|"!="|"~=")');
    if (!['==', '!=', '~='].includes(operator))
      throw this.#refused(`unsupported operator ${JSON.stringify(operator)}`);
    this.#next();
    return { field, test: this.#test(operator) };
  }

  #test(operator: string): Selector['test'] {
    const wanted = this.#value({ anyQuotes: operator === '~=' });
    if (operator === '==') return (value) => value === wanted;
    if (operator === '!=') return (value) => value !== wanted;
    const expression = compiled(wanted);
    return (value = '') => expression?.matcher(value).find() ?? false;
  }

  #field(): string {
    const { kind } = this.#token;
    if (kind !== 'field' && kind !== 'quoted') throw this.#refused('expected field or quoted');
    return this.#word({ anyQuotes: false });
  }

  #value(options: { anyQuotes: boolean }): string {
    const { kind } = this.#token;
    if (kind === 'end') throw invalid('filters: unexpected EOF: invalid argument');
    if (kind !== 'value' && kind !== 'field' && kind !== 'quoted')
      throw this.#refused('expected value or quoted');
    return this.#word(options);
  }

  /** Slashes and bars are quotes of expressions alone. */
  #word({ anyQuotes }: { anyQuotes: boolean }): string {
    const token = this.#token;
    if (token.kind === 'quoted' && token.quote !== '"' && !anyQuotes)
      throw this.#refused('invalid quote encountered');
    this.#next();
    return token.text;
  }

  #next(): void {
    this.#token = this.#scanner.next();
  }

  #refused(why: string): Error {
    return this.#scanner.refusal(this.#token.at, why);
  }
}

/** As in Go they take time that is linear in what is looked at; what is no expression matches nothing. */
function compiled(expression: string): RE2JS | undefined {
  try {
    return RE2JS.compile(expression);
  } catch {
    return undefined;
  }
}
