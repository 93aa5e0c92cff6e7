import { invalid, messageOf } from '#errors/errors.ts';
import { type MatchInfo, PatternMatcher } from './pattern-matcher.ts';

export interface FilterPatterns {
  /** What is taken; undefined or none: everything. */
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
}

/** What to do with a path of a walk. */
export interface FilterVerdict {
  /** What is taken because of it: directories above that were not taken yet, then itself. Empty: it is left out. */
  readonly taken: readonly string[];
  /** Whether something below it may be taken. */
  readonly enter: boolean;
}

interface Directory {
  readonly path: string;
  readonly include: MatchInfo | undefined;
  readonly exclude: MatchInfo | undefined;
  taken: boolean;
}

const LEFT_OUT: FilterVerdict = { taken: [], enter: true };
const PATTERN_CHARACTERS = /[*[\]?^\\]/;

/**
 * Selects paths of a directory tree as tonistiigi/fsutil does for file sync: included and not excluded; a directory
 * is taken when something in it is. Give it the paths of one walk, depth first, each directory before what is in it.
 */
export class PathFilter {
  readonly #include: PatternMatcher | undefined;
  readonly #exclude: PatternMatcher | undefined;
  readonly #parents: Directory[] = [];

  /** Throws `invalid` for a pattern that is none. */
  constructor({ include = [], exclude = [] }: FilterPatterns) {
    this.#include = matcherOf(include, 'includepatterns');
    this.#exclude = matcherOf(exclude, 'excludepatterns');
  }

  /** `path` is relative, without leading or trailing slash. */
  visit(path: string, isDirectory: boolean): FilterVerdict {
    while (this.#parents.length > 0 && !path.startsWith(`${this.#parents.at(-1)!.path}/`))
      this.#parents.pop();
    const parent = this.#parents.at(-1);
    const included = this.#include?.matchesIn(path, parent?.include);
    const excluded = this.#exclude?.matchesIn(path, parent?.exclude);
    if (isDirectory) {
      if (included?.matched === false && !mayReach(this.#include!.patterns, path))
        return { taken: [], enter: false };
      if (excluded?.matched && !mayReach(this.#exclude!.exceptions, path)) return { taken: [], enter: false };
      this.#parents.push({ path, include: included?.info, exclude: excluded?.info, taken: false });
    }
    if (included?.matched === false || excluded?.matched) return LEFT_OUT;
    return { taken: this.#take(path, isDirectory), enter: true };
  }

  #take(path: string, isDirectory: boolean): string[] {
    const above = this.#parents.filter((directory) => !directory.taken);
    for (const directory of above) directory.taken = true;
    const paths = above.map((directory) => directory.path);
    // A directory is the last of its own parents by now.
    return isDirectory ? paths : [...paths, path];
  }
}

function matcherOf(patterns: readonly string[], what: string): PatternMatcher | undefined {
  if (patterns.length === 0) return undefined;
  try {
    return new PatternMatcher(patterns);
  } catch (error) {
    throw invalid(`invalid ${what}: [${patterns.join(' ')}]: ${messageOf(error)}`, { cause: error });
  }
}

/** Whether one of the patterns can match something below a directory. With wildcards, nobody can tell. */
function mayReach(patterns: readonly string[], directory: string): boolean {
  const plain = patterns.map(withoutLastGlob);
  if (plain.some((pattern) => PATTERN_CHARACTERS.test(pattern))) return true;
  return plain.some((pattern) => `${pattern}/`.startsWith(`${directory}/`));
}

function withoutLastGlob(pattern: string): string {
  const shorter = pattern.endsWith('/**') ? pattern.slice(0, -3) : pattern;
  return shorter.endsWith('/*') ? shorter.slice(0, -2) : shorter;
}
