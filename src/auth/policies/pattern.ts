import { invalid } from '#errors/errors.ts';

/**
 * The repositories that a grant is for: a name whose components may have wildcards. `*` stands for any characters
 * within a component, a last component `**` for one or more of them: `team/app`, `team/*`, `team/ci-*`, `team/**`,
 * and `**` for all there are.
 */
export type NamespacePattern = string & { readonly __brand: 'NamespacePattern' };

const COMPONENT = /^[a-z0-9*][a-z0-9*._-]*$/;
const MAX_LENGTH = 255;
export const EVERYTHING = '**' as NamespacePattern;

/** Throws `invalid`. */
export function parseNamespacePattern(text: string): NamespacePattern {
  const components = text.split('/');
  const sound = components.every((component, index) =>
    component.includes('**')
      ? component === '**' && index === components.length - 1
      : COMPONENT.test(component),
  );
  if (!sound || text.length > MAX_LENGTH) {
    throw invalid(
      `invalid namespace pattern ${JSON.stringify(text.slice(0, 300))}: expected a name such as team/app, team/* or team/**`,
    );
  }
  return text as NamespacePattern;
}

/** Whether `outer` names everything that `inner` does: a repository's name, or another pattern. */
export function covers(outer: string, inner: string): boolean {
  const [outers, inners] = [outer.split('/'), inner.split('/')];
  if (outers.at(-1) === '**') {
    const fixed = outers.slice(0, -1);
    return inners.length > fixed.length && fixed.every((component, index) => glob(component, inners[index]!));
  }
  if (outers.length !== inners.length || inners.at(-1) === '**') return false;
  return outers.every((component, index) => glob(component, inners[index]!));
}

/**
 * Whether a component with `*` matches a text, in time of their product at most. A `*` of the text is a character
 * like any other, which only a `*` matches: so a component matches another when it matches all that the other does.
 */
function glob(component: string, text: string): boolean {
  let [at, from, star, retry] = [0, 0, -1, 0];
  while (from < text.length) {
    if (component[at] === '*') {
      star = at++;
      retry = from;
    } else if (component[at] === text[from]) {
      at++;
      from++;
    } else if (star >= 0) {
      at = star + 1;
      from = ++retry;
    } else return false;
  }
  while (component[at] === '*') at++;
  return at === component.length;
}
