import { cleanPath } from '#worker/build/context/clean-path.ts';
import { pathMatcher } from '#worker/build/context/path-match.ts';
import { type FilterPatterns, type FilterState, PathFilter } from '#worker/build/files/path-filter.ts';

/** What comes of a path: it is sent, or something below it may be. */
interface Selected {
  readonly selected: boolean;
  readonly enter: boolean;
  readonly state: FilterState | undefined;
}

/** Which of a tree's files are sent: those that a pattern includes, if there are such, and none excludes. */
export class TreeSelection {
  readonly #filter: PathFilter;
  /** The names that included paths begin with; undefined: any. */
  readonly #ways: readonly (readonly NameTest[])[] | undefined;

  /** undefined when all of it is. Throws `invalid` for a pattern that is none. */
  static of(patterns: FilterPatterns): TreeSelection | undefined {
    const filter = PathFilter.of(patterns);
    return filter && new TreeSelection(filter, patterns.includePatterns ?? []);
  }

  private constructor(filter: PathFilter, includePatterns: readonly string[]) {
    this.#filter = filter;
    this.#ways = includePatterns.length === 0 ? undefined : includePatterns.map(namesOf);
  }

  check(path: string, parent: FilterState | undefined): Selected {
    const { selected, final, state } = this.#filter.check(path, parent);
    // A large directory that nothing is included of is not walked through.
    return { selected, state, enter: !final && (selected || this.#leadsOn(path)) };
  }

  #leadsOn(path: string): boolean {
    const names = path.split('/');
    return this.#ways?.some((way) => way.every((test, at) => at >= names.length || test(names[at]!))) ?? true;
  }
}

type NameTest = (name: string) => boolean;

/** As far as a pattern says how deep it is. */
function namesOf(pattern: string): NameTest[] {
  const names = cleanPath(pattern.replace(/^!?\/*/, '')).split('/');
  const open = names.findIndex((name) => name.includes('**'));
  return (open < 0 ? names : names.slice(0, open)).map((name) => pathMatcher(name));
}
