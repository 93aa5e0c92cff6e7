import { covers } from '#auth/policies/pattern.ts';
import { invalid } from '#errors/errors.ts';

/** Tags by name: `*` stands for any characters, as in `v*` or `release-*-rc*`. */
export type TagPattern = string & { readonly __brand: 'TagPattern' };

const PATTERN = /^[\w*][\w.*-]{0,127}$/;

/** Throws `invalid`. */
export function parseTagPattern(text: string): TagPattern {
  if (!PATTERN.test(text)) {
    throw invalid(
      `invalid tag pattern ${JSON.stringify(text.slice(0, 200))}: expected one such as v1, v* or *`,
    );
  }
  return text as TagPattern;
}

export function matchesTag(pattern: string, tag: string): boolean {
  return covers(pattern === '**' ? '*' : pattern, tag);
}
