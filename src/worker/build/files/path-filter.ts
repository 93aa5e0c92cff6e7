import { IgnoreRules } from '../context/ignore.ts';

export interface FilterPatterns {
  readonly includePatterns?: readonly string[];
  readonly excludePatterns?: readonly string[];
}

export interface FilterVerdict {
  readonly selected: boolean;
  /** Nothing below a directory is selected either. */
  readonly final: boolean;
}

/** What is taken of a tree: what a pattern includes, if there are such, and none excludes. Throws `invalid`. */
export class PathFilter {
  readonly #include: IgnoreRules | undefined;
  readonly #exclude: IgnoreRules | undefined;
  readonly #excludeHasExceptions: boolean;

  /** undefined when the patterns select everything. */
  static of(patterns: FilterPatterns): PathFilter | undefined {
    const { includePatterns = [], excludePatterns = [] } = patterns;
    return includePatterns.length + excludePatterns.length > 0 ? new PathFilter(patterns) : undefined;
  }

  private constructor({ includePatterns = [], excludePatterns = [] }: FilterPatterns) {
    this.#include = includePatterns.length > 0 ? new IgnoreRules(includePatterns.join('\n')) : undefined;
    this.#exclude = excludePatterns.length > 0 ? new IgnoreRules(excludePatterns.join('\n')) : undefined;
    this.#excludeHasExceptions = excludePatterns.some((pattern) => pattern.startsWith('!'));
  }

  /** `path` is relative to what is copied. */
  check(path: string): FilterVerdict {
    if (this.#exclude?.ignores(path)) return { selected: false, final: !this.#excludeHasExceptions };
    return { selected: this.#include?.ignores(path) ?? true, final: false };
  }
}
