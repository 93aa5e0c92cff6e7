import { readIgnoreFile } from './ignore-file.ts';
import { PatternMatcher } from './pattern-matcher.ts';

/** The rules of a `.dockerignore` file. */
export class IgnoreRules {
  readonly #matcher: PatternMatcher;

  /** Throws `invalid` for a pattern that is none. */
  constructor(text: string) {
    this.#matcher = new PatternMatcher(readIgnoreFile(text));
  }

  get isEmpty(): boolean {
    return this.#matcher.isEmpty;
  }

  /** `path` is relative to the context, without leading or trailing slash. */
  ignores(path: string): boolean {
    return this.#matcher.matches(path);
  }
}
