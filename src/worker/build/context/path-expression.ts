import { badPattern } from './path-match.ts';

type CharacterTest = (character: string) => boolean;

/** A part of an expression: a character once, maybe or any number of times; an assertion; or `(.*\/)?`. */
type Token =
  | { readonly kind: 'character'; readonly test: CharacterTest; readonly times: '1' | '?' | '*' }
  | { readonly kind: 'assertion'; readonly holds: (before: string, after: string) => boolean }
  | { readonly kind: 'directories' };

const DIRECTORIES = '(.*/)?';
const NOT_NEWLINE: CharacterTest = (character) => character !== '\n';
const CONTROLS: Readonly<Record<string, string>> = {
  a: '\u0007',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};
const isDigit: CharacterTest = (character) => /^[0-9]$/.test(character);
const isWord: CharacterTest = (character) => /^[0-9A-Za-z_]$/.test(character);
const isBlank: CharacterTest = (character) => /^[\t\n\f\r ]$/.test(character);
const CLASSES: Readonly<Record<string, CharacterTest>> = {
  d: isDigit,
  D: (character) => !isDigit(character),
  w: isWord,
  W: (character) => !isWord(character),
  s: isBlank,
  S: (character) => !isBlank(character),
};

/**
 * The regular expressions that patterns are translated into, as Go reads them. All places that a path's characters
 * can have led to are followed at once, so that no pattern takes more than length × length steps.
 */
export class PathExpression {
  readonly #tokens: readonly Token[];

  /** Throws `invalid` ("syntax error in pattern"). */
  constructor(expression: string, pattern: string) {
    this.#tokens = new Reader([...expression], pattern).tokens();
  }

  test(path: string): boolean {
    const characters = [...path];
    let places = this.#closure([0], '', characters[0] ?? '');
    for (const [at, character] of characters.entries()) {
      const next: number[] = [];
      for (const place of places) this.#step(place, character, next);
      if (next.length === 0) return false;
      places = this.#closure(next, character, characters[at + 1] ?? '');
    }
    return places.has(this.#tokens.length);
  }

  /** Where a character leads from a place. Odd places are inside `(.*\/)?`: half a token on. */
  #step(place: number, character: string, next: number[]): void {
    const token = this.#tokens[Math.floor(place)];
    if (token?.kind === 'directories') {
      if (NOT_NEWLINE(character)) next.push(Math.floor(place) + 0.5);
      if (character === '/') next.push(Math.floor(place) + 1);
    } else if (token?.kind === 'character' && token.test(character)) {
      next.push(token.times === '*' ? place : place + 1);
    }
  }

  /** The places, and those that can be reached from them without a character. */
  #closure(places: readonly number[], before: string, after: string): Set<number> {
    const reached = new Set(places);
    for (const place of reached) {
      if (!Number.isInteger(place)) continue;
      const token = this.#tokens[place];
      const passes =
        token !== undefined &&
        (token.kind === 'directories' ||
          (token.kind === 'character' && token.times !== '1') ||
          (token.kind === 'assertion' && token.holds(before, after)));
      if (passes) reached.add(place + 1);
    }
    return reached;
  }
}

class Reader {
  readonly #characters: readonly string[];
  readonly #pattern: string;
  #at = 0;

  constructor(characters: readonly string[], pattern: string) {
    this.#characters = characters;
    this.#pattern = pattern;
  }

  tokens(): Token[] {
    const tokens: Token[] = [];
    while (this.#at < this.#characters.length) tokens.push(this.#token());
    return tokens;
  }

  #token(): Token {
    if (this.#characters.slice(this.#at, this.#at + DIRECTORIES.length).join('') === DIRECTORIES) {
      this.#at += DIRECTORIES.length;
      return { kind: 'directories' };
    }
    const character = this.#characters[this.#at++]!;
    if (character === '^') return { kind: 'assertion', holds: (before) => before === '' };
    if (character === '\\' && /^[bBAz]$/.test(this.#characters[this.#at] ?? '')) return this.#assertion();
    return { kind: 'character', test: this.#characterTest(character), times: this.#times() };
  }

  #characterTest(character: string): CharacterTest {
    if (character === '.') return NOT_NEWLINE;
    if (character === '[') return this.#class();
    if (character === '\\') return this.#escaped();
    return (candidate) => candidate === character;
  }

  #times(): '1' | '?' | '*' {
    const next = this.#characters[this.#at];
    if (next !== '*' && next !== '?') return '1';
    this.#at++;
    return next;
  }

  #assertion(): Token {
    const name = this.#characters[this.#at++]!;
    const onBoundary = (before: string, after: string) => isWord(before) !== isWord(after);
    if (name === 'b') return { kind: 'assertion', holds: onBoundary };
    if (name === 'B') return { kind: 'assertion', holds: (before, after) => !onBoundary(before, after) };
    return { kind: 'assertion', holds: (before, after) => (name === 'A' ? before : after) === '' };
  }

  /** What follows a backslash: a class of characters by its letter, a control character, or any other sign itself. */
  #escaped(): CharacterTest {
    const character = this.#characters[this.#at++];
    if (character === undefined) throw badPattern(this.#pattern);
    const named = CLASSES[character];
    if (named) return named;
    const literal = this.#literal(character);
    return (candidate) => candidate === literal;
  }

  #literal(escaped: string): string {
    const control = CONTROLS[escaped];
    if (control !== undefined) return control;
    if (/^[0-9A-Za-z]$/.test(escaped)) throw badPattern(this.#pattern);
    return escaped;
  }

  /** `[…]`, from after the bracket. */
  #class(): CharacterTest {
    const negated = this.#characters[this.#at] === '^';
    if (negated) this.#at++;
    const tests: CharacterTest[] = [];
    while (this.#characters[this.#at] !== ']' || tests.length === 0) tests.push(this.#classItem());
    this.#at++;
    return (character) => tests.some((test) => test(character)) !== negated;
  }

  #classItem(): CharacterTest {
    const first = this.#characters[this.#at++];
    if (first === undefined) throw badPattern(this.#pattern);
    if (first === '\\' && CLASSES[this.#characters[this.#at] ?? '']) return this.#escaped();
    const low = this.#classCharacter(first);
    const next = this.#characters[this.#at + 1];
    if (this.#characters[this.#at] !== '-' || next === ']' || next === undefined) {
      return (character) => character === low;
    }
    this.#at += 2;
    const high = this.#classCharacter(next);
    if (codePoint(low) > codePoint(high)) throw badPattern(this.#pattern);
    return (character) => codePoint(low) <= codePoint(character) && codePoint(character) <= codePoint(high);
  }

  #classCharacter(character: string): string {
    if (character !== '\\') return character;
    const escaped = this.#characters[this.#at++];
    if (escaped === undefined) throw badPattern(this.#pattern);
    return this.#literal(escaped);
  }
}

function codePoint(character: string): number {
  return character.codePointAt(0)!;
}
