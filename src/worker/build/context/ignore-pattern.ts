import { PathExpression } from './path-expression.ts';

export type PathTest = (path: string) => boolean;

type Kind = 'exact' | 'prefix' | 'suffix' | 'expression';

/** What has a meaning in a regular expression, but not in a pattern. */
const ESCAPED = '.+()|{}$';

/**
 * One pattern as moby/patternmatcher compiles it, odd corners included: `**` at the end matches all below, at the
 * beginning any directories or none; and a class in brackets is one of a regular expression, so it matches a slash.
 */
export function compilePattern(pattern: string): PathTest {
  const { kind, expression } = translate([...pattern]);
  switch (kind) {
    case 'exact':
      return (path) => path === pattern;
    case 'prefix': {
      const prefix = pattern.slice(0, -2);
      return (path) => path.startsWith(prefix);
    }
    case 'suffix': {
      const suffix = pattern.slice(2);
      return (path) => path.endsWith(suffix) || (suffix.startsWith('/') && path === suffix.slice(1));
    }
    case 'expression': {
      const compiled = new PathExpression(expression, pattern);
      return (path) => compiled.test(path);
    }
  }
}

function translate(characters: readonly string[]): { kind: Kind; expression: string } {
  let expression = '';
  let kind: Kind = 'exact';
  let at = 0;
  while (at < characters.length) {
    const start = at;
    const character = characters[at++]!;
    if (character === '*' && characters[at] === '*') {
      at++;
      if (characters[at] === '/') at++;
      if (at < characters.length) {
        expression += '(.*/)?';
        kind = 'expression';
      } else if (kind === 'exact') {
        kind = 'prefix';
      } else {
        expression += '.*';
        kind = 'expression';
      }
      if (start === 0) kind = 'suffix';
    } else if (character === '*' || character === '?') {
      expression += character === '*' ? '[^/]*' : '[^/]';
      kind = 'expression';
    } else if (character === '\\' && at < characters.length) {
      expression += `\\${characters[at++]}`;
      kind = 'expression';
    } else if (character === '[' || character === ']') {
      expression += character;
      kind = 'expression';
    } else {
      expression += ESCAPED.includes(character) ? `\\${character}` : character;
    }
  }
  return { kind, expression };
}
