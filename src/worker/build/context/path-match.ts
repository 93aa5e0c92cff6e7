import { invalid } from '#errors/errors.ts';

/**
 * Whether a path matches a pattern as Go's `filepath.Match` has it: `*` and `?` never match a slash, `[a-z]`,
 * `[^a-z]`, `\` before a literal character. Throws `invalid` ("syntax error in pattern") for a broken one.
 */
export function pathMatcher(pattern: string): (path: string) => boolean {
  const segments = pattern.split('/').map((segment) => segmentRegExp(segment, pattern));
  return (path) => {
    const parts = path.split('/');
    return parts.length === segments.length && segments.every((segment, at) => segment.test(parts[at]!));
  };
}

/** Whether a COPY source is a pattern at all. */
export function hasWildcards(path: string): boolean {
  for (let at = 0; at < path.length; at++) {
    if (path[at] === '\\') at++;
    else if ('*?['.includes(path[at]!)) return true;
  }
  return false;
}

/** A pattern that matches one name, whatever characters are in it. */
export function literalPattern(name: string): string {
  return hasWildcards(name) ? name.replace(/[*?[]/g, '[$&]').replaceAll('\\', '\\\\') : name;
}

export function badPattern(pattern: string) {
  return invalid(`syntax error in pattern: ${JSON.stringify(pattern.slice(0, 200))}`);
}

function segmentRegExp(segment: string, pattern: string): { test(part: string): boolean } {
  return new SegmentMatcher(parseSegment(segment, pattern));
}

type Token =
  | { readonly kind: 'star' }
  | { readonly kind: 'one'; readonly matches: (character: string) => boolean };

/** One path segment's pattern as tokens. Exported for the ignore patterns, which add `**` around it. */
export function parseSegment(segment: string, pattern: string): Token[] {
  const tokens: Token[] = [];
  const characters = [...segment];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (character === '*') {
      if (tokens.at(-1)?.kind !== 'star') tokens.push({ kind: 'star' });
    } else if (character === '?') {
      tokens.push({ kind: 'one', matches: () => true });
    } else if (character === '[') {
      const { matches, end } = parseClass(characters, at + 1, pattern);
      tokens.push({ kind: 'one', matches });
      at = end;
    } else {
      const literal = character === '\\' ? characters[++at] : character;
      if (literal === undefined) throw badPattern(pattern);
      tokens.push({ kind: 'one', matches: (candidate) => candidate === literal });
    }
  }
  return tokens;
}

/** `[…]`, from after the bracket; `end` is where its closing bracket stands. */
function parseClass(characters: readonly string[], start: number, pattern: string) {
  let at = start;
  const negated = characters[at] === '^';
  if (negated) at++;
  const ranges: [low: string, high: string][] = [];
  const next = () => {
    const character = characters[at] === '\\' ? characters[++at] : characters[at];
    if (character === undefined) throw badPattern(pattern);
    at++;
    return character;
  };
  while (characters[at] !== ']' || ranges.length === 0) {
    if (characters[at] === ']' || characters[at] === '-') throw badPattern(pattern);
    const low = next();
    if (characters[at] !== '-') ranges.push([low, low]);
    else {
      at++;
      if (characters[at] === ']' || characters[at] === '-') throw badPattern(pattern);
      ranges.push([low, next()]);
    }
  }
  const point = (character: string) => character.codePointAt(0)!;
  const matches = (candidate: string) =>
    ranges.some(([low, high]) => point(low) <= point(candidate) && point(candidate) <= point(high)) !==
    negated;
  return { matches, end: at };
}

/** Matches with at most one way back (to the last star), so in length × length steps at worst. */
export class SegmentMatcher {
  readonly #tokens: readonly Token[];

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  test(part: string): boolean {
    const characters = [...part];
    let token = 0;
    let at = 0;
    let star = -1;
    let resume = 0;
    while (at < characters.length) {
      const current = this.#tokens[token];
      if (current?.kind === 'star') {
        star = token++;
        resume = at;
      } else if (current?.kind === 'one' && current.matches(characters[at]!)) {
        token++;
        at++;
      } else if (star >= 0) {
        token = star + 1;
        at = ++resume;
      } else {
        return false;
      }
    }
    while (this.#tokens[token]?.kind === 'star') token++;
    return token === this.#tokens.length;
  }
}
