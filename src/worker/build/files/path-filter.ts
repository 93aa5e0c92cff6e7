import { type MatchInfo, PatternMatcher } from '../context/pattern-matcher.ts';

export interface FilterPatterns {
  readonly includePatterns?: readonly string[];
  readonly excludePatterns?: readonly string[];
}

/** What was found out about a directory, for what is in it. */
export interface FilterState {
  readonly include: MatchInfo | undefined;
  readonly exclude: MatchInfo | undefined;
}

export interface FilterVerdict {
  readonly selected: boolean;
  /** Nothing below a directory is selected either. */
  readonly final: boolean;
  readonly state: FilterState;
}

/** What a copy takes of a tree: what a pattern includes, if there are such, and none excludes. */
export class PathFilter {
  readonly #include: PatternMatcher | undefined;
  readonly #exclude: PatternMatcher | undefined;

  /** undefined when the patterns select everything. Throws `invalid` for a pattern that is none. */
  static of(patterns: FilterPatterns): PathFilter | undefined {
    const { includePatterns = [], excludePatterns = [] } = patterns;
    return includePatterns.length + excludePatterns.length > 0 ? new PathFilter(patterns) : undefined;
  }

  private constructor({ includePatterns = [], excludePatterns = [] }: FilterPatterns) {
    this.#include = includePatterns.length > 0 ? new PatternMatcher(includePatterns) : undefined;
    this.#exclude = excludePatterns.length > 0 ? new PatternMatcher(excludePatterns) : undefined;
  }

  /** `path` is relative to what is copied; `parent` is what came out for the directory that it is in. */
  check(path: string, parent: FilterState | undefined): FilterVerdict {
    const included = this.#include?.matchesIn(path, parent?.include);
    const excluded = this.#exclude?.matchesIn(path, parent?.exclude);
    const state = { include: included?.info, exclude: excluded?.info };
    if (excluded?.matched) return { selected: false, final: !this.#exclude!.hasExceptions, state };
    return { selected: included?.matched ?? true, final: false, state };
  }
}
