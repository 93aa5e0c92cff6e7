import { badPattern, parseSegment, SegmentMatcher } from './path-match.ts';

interface IgnorePattern {
  /** `!`: takes out of what an earlier pattern ignored. */
  readonly exception: boolean;
  readonly segments: readonly ('**' | SegmentMatcher)[];
}

/**
 * The rules of a `.dockerignore` file: Go's `filepath.Match` plus `**` for any number of directories, `!` for
 * exceptions; the last pattern that matches wins, and a pattern that matches a directory covers what is in it.
 */
export class IgnoreRules {
  readonly #patterns: readonly IgnorePattern[];

  /** Throws `invalid` for a pattern that is none. */
  constructor(text: string) {
    this.#patterns = readPatterns(text);
  }

  get isEmpty(): boolean {
    return this.#patterns.length === 0;
  }

  /** `path` is relative to the context, without leading or trailing slash. */
  ignores(path: string): boolean {
    const parts = path.split('/');
    let ignored = false;
    for (const { exception, segments } of this.#patterns) {
      // A pattern that would change nothing need not be tried.
      if (exception === ignored && coversPrefix(segments, parts)) ignored = !exception;
    }
    return ignored;
  }
}

function readPatterns(text: string): IgnorePattern[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .flatMap((line) => {
      const exception = line.startsWith('!');
      const pattern = (exception ? line.slice(1) : line).trim();
      if (pattern === '') throw badPattern(line);
      const segments = cleanSegments(pattern);
      // `.` or `/` alone match nothing: there would be no context left.
      if (segments.length === 0) return [];
      return [{ exception, segments: segments.map((segment) => compile(segment, pattern)) }];
    });
}

/** As Go's `filepath.Clean` has it, with a leading slash for the context's root. */
function cleanSegments(pattern: string): string[] {
  const segments: string[] = [];
  for (const segment of pattern.split('/')) {
    if (segment === '' || segment === '.') continue;
    if (segment === '..') segments.pop();
    else segments.push(segment);
  }
  return segments;
}

function compile(segment: string, pattern: string): '**' | SegmentMatcher {
  // `**` within a segment (`a**`) matches what `*` does.
  return segment === '**' ? '**' : new SegmentMatcher(parseSegment(segment, pattern));
}

/** Whether the pattern matches the path or a directory above it. */
function coversPrefix(segments: IgnorePattern['segments'], parts: readonly string[]): boolean {
  // The pattern positions that the parts so far can be at; bounded by the pattern's length.
  let positions = skipStars(segments, new Set([0]));
  for (const part of parts) {
    const next = new Set<number>();
    for (const at of positions) {
      const segment = segments[at];
      if (segment === '**') next.add(at === segments.length - 1 ? at + 1 : at);
      else if (segment?.test(part)) next.add(at + 1);
    }
    positions = skipStars(segments, next);
    if (positions.has(segments.length)) return true;
    if (positions.size === 0) return false;
  }
  return false;
}

/** `**` also matches no directory at all; but a trailing one wants something in it. */
function skipStars(segments: IgnorePattern['segments'], positions: Set<number>): Set<number> {
  for (const at of positions) {
    if (segments[at] === '**' && at + 1 < segments.length) positions.add(at + 1);
  }
  return positions;
}
