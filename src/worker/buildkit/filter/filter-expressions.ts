import { RE2JS } from 're2js';
import { invalid } from '#errors/errors.ts';

const MAX_FILTERS = 100;
/** Of all filters together, in characters. */
const MAX_LENGTH = 10_000;
/** Of one expression, in characters. */
const MAX_EXPRESSION = 1000;
/** What compiling all expressions may be asked to do: characters, times how often they are repeated by number. */
const MAX_REPEATED = 10_000;
/** Of all compiled expressions together, in instructions: each character that is looked at may meet all of them. */
const MAX_INSTRUCTIONS = 1000;

/**
 * The regular expressions of one request's filters. They are compiled and looked for in the thread that everybody waits
 * for: in time that is linear in what is looked at, as in Go, and with limits to how much that may be.
 */
export class FilterExpressions {
  #repeated = 0;
  #instructions = 0;

  /** Throws `invalid` for filters that are too many, or too long. */
  constructor(filters: readonly string[]) {
    if (filters.length > MAX_FILTERS) throw invalid(`at most ${MAX_FILTERS} filters are possible`);
    const length = filters.reduce((sum, text) => sum + text.length, 0);
    if (length > MAX_LENGTH) throw invalid(`filters have at most ${MAX_LENGTH} characters`);
  }

  /** undefined: it is no expression. Throws `invalid` for what is too large. */
  compile(text: string): RE2JS | undefined {
    if (text.length > MAX_EXPRESSION)
      throw invalid(`a filter's expression has at most ${MAX_EXPRESSION} characters`);
    this.#repeated += text.length * repetitionsIn(text);
    if (this.#repeated > MAX_REPEATED) throw tooMuch();
    const compiled = compiledOf(text);
    this.#instructions += compiled?.programSize() ?? 0;
    if (this.#instructions > MAX_INSTRUCTIONS) throw tooMuch();
    return compiled;
  }
}

function tooMuch(): Error {
  return invalid("the filters' expressions are too large, or repeat too much");
}

/** No part of it is there more often: as if all repetitions were in each other. */
function repetitionsIn(expression: string): number {
  let product = 1;
  for (const [, least, most] of expression.matchAll(/\{(\d+)(?:,(\d*))?\}/g)) {
    // `x{2,}` is `xx+`.
    product *= Math.max(1, Number(least), Number(most ?? 0));
  }
  return product;
}

function compiledOf(expression: string): RE2JS | undefined {
  try {
    return RE2JS.compile(expression);
  } catch {
    return undefined;
  }
}
