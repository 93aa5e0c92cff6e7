import { DockerfileError } from './dockerfile-error.ts';

/** A compiled glob of the shell's: `*`, `?`, and `\` before a literal character. */
type Token =
  | { readonly kind: 'star' }
  | { readonly kind: 'any' }
  | { readonly kind: 'char'; readonly char: string };

function compile(pattern: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at]!;
    if (char === '*') {
      if (tokens.at(-1)?.kind !== 'star') tokens.push({ kind: 'star' });
    } else if (char === '?') tokens.push({ kind: 'any' });
    else if (char === '\\' && at + 1 < pattern.length) tokens.push({ kind: 'char', char: pattern[++at]! });
    else tokens.push({ kind: 'char', char });
  }
  return tokens;
}

/**
 * The ends of all matches that begin at `start`, as a set of positions: walking every token over all of them
 * at once keeps hostile patterns at length × length steps.
 */
function matchEnds(tokens: readonly Token[], text: string, start: number): Set<number> {
  let ends = new Set([start]);
  for (const token of tokens) {
    const next = new Set<number>();
    if (token.kind === 'star') {
      const from = Math.min(...ends);
      for (let at = from; at <= text.length; at++) next.add(at);
    } else {
      for (const at of ends) {
        if (at < text.length && (token.kind === 'any' || text[at] === token.char)) next.add(at + 1);
      }
    }
    if (next.size === 0) return next;
    ends = next;
  }
  return ends;
}

/** `${value#pattern}`, greedy `${value##pattern}`. */
export function trimPrefix(value: string, pattern: string, greedy: boolean): string {
  const ends = [...matchEnds(compile(pattern), value, 0)];
  if (ends.length === 0) return value;
  return value.slice(greedy ? Math.max(...ends) : Math.min(...ends));
}

/** `${value%pattern}`, greedy `${value%%pattern}`. */
export function trimSuffix(value: string, pattern: string, greedy: boolean): string {
  const mirrored = compile(pattern).reverse();
  const reversed = [...value].reverse().join('');
  const ends = [...matchEnds(mirrored, reversed, 0)];
  if (ends.length === 0) return value;
  return [...reversed.slice(greedy ? Math.max(...ends) : Math.min(...ends))].reverse().join('');
}

/** `${value/pattern/replacement}`, all of them `${value//pattern/replacement}`; a match is as long as can be. */
export function replacePattern(value: string, pattern: string, replacement: string, all: boolean): string {
  const tokens = compile(pattern);
  refuseHugeWork(tokens, value);
  let out = '';
  let at = 0;
  while (at <= value.length) {
    const ends = tokens.length === 0 ? [] : [...matchEnds(tokens, value, at)];
    const end = ends.length === 0 ? -1 : Math.max(...ends);
    if (end <= at) {
      out += value[at] ?? '';
      at++;
      continue;
    }
    out += replacement;
    at = end;
    if (!all) break;
  }
  return out + value.slice(at);
}

const MAX_STEPS = 1e8;

/** Matching tries every start: with a star in the pattern that is quadratic in the value's length. */
function refuseHugeWork(tokens: readonly Token[], value: string): void {
  const stars = tokens.some((token) => token.kind === 'star');
  const steps = value.length * tokens.length * (stars ? value.length : 1);
  if (steps > MAX_STEPS) throw new DockerfileError('the pattern takes too long to match');
}
