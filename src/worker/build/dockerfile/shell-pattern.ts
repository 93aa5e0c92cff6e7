import { DockerfileError } from './dockerfile-error.ts';

/** A token of a shell pattern: any characters, any one character, or this one. None crosses a line's end. */
type Token = { readonly star: true } | { readonly star: false; readonly char?: string };

/** Matching takes length × length steps where a pattern has stars: no value that anybody wrote comes near. */
const MAX_STEPS = 1e8;

/** `${value#pattern}`, greedy `${value##pattern}`. Throws `DockerfileError` for a pattern with an odd escape. */
export function trimPrefix(value: string, pattern: string, greedy: boolean): string {
  const characters = [...value];
  const ends = new Matcher(compile(pattern), characters).ends(0);
  if (ends.length === 0) return value;
  return characters.slice(greedy ? ends.at(-1)! : ends[0]!).join('');
}

/** `${value%pattern}`, greedy `${value%%pattern}`. */
export function trimSuffix(value: string, pattern: string, greedy: boolean): string {
  const reversed = [...value].reverse();
  const ends = new Matcher(compile(pattern).reverse(), reversed).ends(0);
  if (ends.length === 0) return value;
  return reversed
    .slice(greedy ? ends.at(-1)! : ends[0]!)
    .reverse()
    .join('');
}

/** `${value/pattern/replacement}`, all of them `${value//pattern/replacement}`; a match is as long as can be. */
export function replacePattern(value: string, pattern: string, replacement: string, all: boolean): string {
  const characters = [...value];
  const matcher = new Matcher(compile(pattern), characters);
  let out = '';
  let lastEnd = 0;
  let at = 0;
  while (at <= characters.length) {
    const end = matcher.ends(at).at(-1);
    if (end === undefined) {
      at++;
      continue;
    }
    out += characters.slice(lastEnd, at).join('');
    // Nothing, right after another match, is no match of its own.
    if (end > lastEnd || at === 0) out += replacement;
    lastEnd = end;
    at = Math.max(at + 1, end);
    if (!all) break;
  }
  return out + characters.slice(lastEnd).join('');
}

function compile(pattern: string): Token[] {
  const characters = [...pattern];
  const tokens: Token[] = [];
  for (let at = 0; at < characters.length; at++) {
    const char = characters[at]!;
    if (char === '*') {
      if (!tokens.at(-1)?.star) tokens.push({ star: true });
    } else if (char === '?') tokens.push({ star: false });
    else if (char !== '\\') tokens.push({ star: false, char });
    else {
      const escaped = characters[++at] ?? '\u{fffd}';
      if (!'*?\\}/'.includes(escaped)) {
        throw new DockerfileError(
          `invalid pattern (${pattern}) in substitution: invalid escape '\\${escaped}'`,
        );
      }
      tokens.push({ star: false, char: escaped });
    }
  }
  return tokens;
}

/** Walks every token over all places that it can begin at, which keeps hostile patterns at length × tokens steps. */
class Matcher {
  readonly #tokens: readonly Token[];
  readonly #text: readonly string[];
  #steps = 0;

  constructor(tokens: readonly Token[], text: readonly string[]) {
    this.#tokens = tokens;
    this.#text = text;
  }

  /** Where matches that begin at `start` end, in order. */
  ends(start: number): number[] {
    let places = [start];
    for (const token of this.#tokens) {
      places = token.star ? this.#afterStar(places) : this.#afterOne(places, token.char);
      this.#steps += places.length + 1;
      if (this.#steps > MAX_STEPS) throw new DockerfileError('the pattern takes too long to match');
      if (places.length === 0) break;
    }
    return places;
  }

  #afterOne(places: readonly number[], char: string | undefined): number[] {
    const text = this.#text;
    const next: number[] = [];
    for (const at of places) {
      const fits = char === undefined ? at < text.length && text[at] !== '\n' : text[at] === char;
      if (fits) next.push(at + 1);
    }
    return next;
  }

  #afterStar(places: readonly number[]): number[] {
    const text = this.#text;
    const next: number[] = [];
    let reached = -1;
    for (const place of places) {
      if (place <= reached) continue;
      for (let at = place; at <= text.length; at++) {
        next.push(at);
        reached = at;
        if (text[at] === '\n') break;
      }
    }
    return next;
  }
}
