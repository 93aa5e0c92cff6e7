import { invalid } from '#errors/errors.ts';
import { cleanPath } from './clean-path.ts';
import { compilePattern, type PathTest } from './ignore-pattern.ts';
import { parseSegment } from './path-match.ts';

interface Pattern {
  /** Clean, without its `!`. */
  readonly text: string;
  /** `!`: takes out of what an earlier pattern matched. */
  readonly exception: boolean;
  readonly matches: PathTest;
}

/** What was found out about a directory, for what is in it: by pattern, whether it or a parent matches. */
export interface MatchInfo {
  readonly matched: readonly boolean[];
}

/**
 * A list of patterns as of moby/patternmatcher, which `.dockerignore`, `--exclude` and the file sync of a session
 * all go by: Go's `filepath.Match` plus `**` for any number of directories, `!` for exceptions; the last pattern
 * that matches wins, and a pattern that matches a directory covers what is in it. Paths are relative, without a
 * leading slash.
 */
export class PatternMatcher {
  readonly #patterns: readonly Pattern[];

  /** Throws `invalid` for a pattern that is none. */
  constructor(patterns: readonly string[]) {
    this.#patterns = patterns
      .map((pattern) => pattern.trim())
      .filter((pattern) => pattern !== '')
      .map(readPattern);
  }

  get isEmpty(): boolean {
    return this.#patterns.length === 0;
  }

  get hasExceptions(): boolean {
    return this.#patterns.some(({ exception }) => exception);
  }

  /** Those that are no exceptions. */
  get patterns(): readonly string[] {
    return this.#patterns.filter(({ exception }) => !exception).map(({ text }) => text);
  }

  /** Whether the path matches, by itself or by a directory that it is in. */
  matches(path: string): boolean {
    const parents = parentsOf(path);
    let matched = false;
    for (const pattern of this.#patterns) {
      // A pattern that would change nothing need not be tried.
      if (pattern.exception !== matched) continue;
      if (pattern.matches(path) || parents.some(pattern.matches)) matched = !pattern.exception;
    }
    return matched;
  }

  /** As `matches`, on a walk: `parent` is what came out for the directory that the path is in. */
  matchesIn(path: string, parent: MatchInfo | undefined): { matched: boolean; info: MatchInfo } {
    const parents = parent ? [] : parentsOf(path);
    let matched = false;
    const byPattern = this.#patterns.map((pattern, at) => {
      let found = parent?.matched[at] ?? false;
      if (!found) {
        if (pattern.exception !== matched) return false;
        found = pattern.matches(path) || parents.some(pattern.matches);
      }
      if (found) matched = !pattern.exception;
      return found;
    });
    return { matched, info: { matched: byPattern } };
  }
}

function readPattern(written: string): Pattern {
  const clean = cleanPath(written);
  const exception = clean.startsWith('!');
  const text = exception ? clean.slice(1) : clean;
  if (text === '') throw invalid('illegal exclusion pattern: "!"');
  // Refuses what Go's filepath.Match refuses.
  parseSegment(text, text);
  return { text, exception, matches: compilePattern(text) };
}

function parentsOf(path: string): string[] {
  const parents: string[] = [];
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) parents.push(path.slice(0, at));
  return parents;
}
