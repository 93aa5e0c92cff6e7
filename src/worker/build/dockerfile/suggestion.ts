/** A word further than this from every option was not a slip of the keyboard. */
const TOO_FAR = 3;
/** No name is longer; comparing takes length × length steps. */
const MAX_LENGTH = 256;

/**
 * The option that a word is a misspelling of; undefined when none is near, or when one is it. Of options that are
 * equally near, one that begins alike.
 */
export function suggestionFor(
  word: string,
  options: Iterable<string>,
  { ignoreCase = false } = {},
): string | undefined {
  const wanted = ignoreCase ? word.toLowerCase() : word;
  let nearest: string | undefined;
  let distance: number = TOO_FAR;
  for (const written of options) {
    const option = ignoreCase ? written.toLowerCase() : written;
    if (option === wanted) return undefined;
    const edits = editDistance(wanted, option, TOO_FAR);
    const candidate = edits + (option[0] === wanted[0] ? 0 : 0.5);
    if (edits >= TOO_FAR || candidate >= distance) continue;
    nearest = ignoreCase ? inCaseOf(word, option) : option;
    distance = candidate;
  }
  return nearest;
}

/** ` (did you mean X?)`, or nothing. */
export function didYouMean(
  word: string,
  options: Iterable<string>,
  how: { ignoreCase?: boolean } = {},
): string {
  const suggestion = suggestionFor(word, options, how);
  return suggestion === undefined ? '' : ` (did you mean ${suggestion}?)`;
}

function inCaseOf(word: string, option: string): string {
  if (word === word.toLowerCase()) return option;
  return word === word.toUpperCase() ? option.toUpperCase() : option;
}

/** Levenshtein's; `limit` or more when it is not below that. */
function editDistance(a: string, b: string, limit: number): number {
  const [from, to] = [[...a], [...b]];
  if (Math.abs(from.length - to.length) >= limit || from.length > MAX_LENGTH) return limit;
  let previous = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (const [row, character] of from.entries()) {
    const current = [row + 1];
    for (const [column, other] of to.entries()) {
      const replaced = previous[column]! + (character === other ? 0 : 1);
      current.push(Math.min(replaced, previous[column + 1]! + 1, current[column]! + 1));
    }
    previous = current;
  }
  return previous[to.length]!;
}
