import { invalid } from '#errors/errors.ts';
import { familiarName, familiarReference, type ImageReference } from '#oci/reference.ts';

/** Matches names as the filter `reference` does: Go's path.Match on `name:tag`, or on the name alone. */
export function referenceMatcher(patterns: readonly string[]): (reference: ImageReference) => boolean {
  const globs = patterns.map(globToRegExp);
  return (reference) =>
    globs.some((glob) => glob.test(familiarReference(reference)) || glob.test(familiarName(reference)));
}

/** `*` and `?` stop at slashes; `[a-z]` and `[^a-z]`; a backslash quotes. Throws `invalid`. */
export function globToRegExp(pattern: string): RegExp {
  let source = '';
  for (let i = 0; i < pattern.length; i++) {
    const character = pattern[i]!;
    if (character === '*') source += '[^/]*';
    else if (character === '?') source += '[^/]';
    else if (character === '[') {
      const close = pattern.indexOf(']', i + 2);
      if (close < 0)
        throw invalid(`invalid reference filter ${JSON.stringify(pattern)}: syntax error in pattern`);
      source += `[${pattern.slice(i + 1, close).replace(/[\\\]]/g, '\\$&')}]`;
      i = close;
    } else {
      if (character === '\\') i++;
      source += (pattern[i] ?? '\\').replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
    }
  }
  // Consecutive stars mean one, and would take quadratic time.
  return new RegExp(`^${source.replace(/(?:\[\^\/\]\*){2,}/g, '[^/]*')}$`);
}
