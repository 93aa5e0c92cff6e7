import { invalid } from '#errors/errors.ts';
import { FilterExpressions } from './filter-expressions.ts';
import { FilterScanner, type FilterToken } from './filter-scanner.ts';

/** A field's value by its path; undefined: it is not there. */
export type FieldReader<T> = (item: T, field: readonly string[]) => string | undefined;

interface Selector {
  readonly field: readonly string[];
  readonly test: (value: string | undefined) => boolean;
}

/**
 * containerd's filters (pkg/filters): each is selectors (`field`, `field==value`, `!=`, and `~=` with a regular expression,
 * which is Go's) with commas between, that all have to hold; of several filters one has to. None lets everything pass.
 * Throws `invalid`.
 */
export function itemFilter<T>(
  filters: readonly string[],
  read: FieldReader<T>,
  expressions = new FilterExpressions(filters),
): (item: T) => boolean {
  if (filters.length === 0) return () => true;
  const parsed = filters.map((text) => (text === '' ? [] : new FilterParser(text, expressions).selectors()));
  return (item) => parsed.some((selectors) => selectors.every(({ field, test }) => test(read(item, field))));
}

class FilterParser {
  readonly #scanner: FilterScanner;
  readonly #expressions: FilterExpressions;
  #token: FilterToken;

  constructor(text: string, expressions: FilterExpressions) {
    this.#expressions = expressions;
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
    // What is no expression matches nothing.
    const expression = this.#expressions.compile(wanted);
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
