import { DockerfileError } from './dockerfile-error.ts';
import { goQuote } from './go-quote.ts';
import { isSpace, trimStart } from './spaces.ts';

/** What stands between an instruction's keyword, flags and plain words. */
const SEPARATOR = /[\t\v\f\r ]+/;

/** Splits at white space, whatever quotes there are: FROM, COPY, EXPOSE. An empty text has no words. */
export function plainWords(text: string): string[] {
  return text === '' ? [] : text.split(SEPARATOR);
}

/** The first word, and what follows the white space after it (undefined when there is none). */
export function firstWord(text: string): [word: string, rest: string | undefined] {
  const separator = SEPARATOR.exec(text);
  if (!separator) return [text, undefined];
  return [text.slice(0, separator.index), text.slice(separator.index + separator[0].length)];
}

/**
 * Splits at white space outside of quotes. Quotes and escapes stay in the words: expansion takes them out
 * later, when the variables are known. An unclosed quote reaches to the end; an escape at the end is dropped.
 */
export function splitWords(text: string, escapeToken: string): string[] {
  const words: string[] = [];
  let word = '';
  let inWord = false;
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (!quote && isSpace(char)) {
      if (inWord && word !== '') words.push(word);
      word = '';
      inWord = false;
      continue;
    }
    inWord = true;
    if (char === escapeToken && quote !== "'") {
      if (at + 1 < text.length) word += char + text[++at];
      else quote = '';
      continue;
    }
    if (quote) quote = char === quote ? '' : quote;
    else if (char === '"' || char === "'") quote = char;
    word += char;
  }
  if (word !== '') words.push(word);
  return words;
}

/**
 * The list of an exec form (`["a", "b"]`), or undefined when the text is not a JSON array and so a shell form.
 * Throws for a JSON array of anything but strings.
 */
export function jsonStrings(text: string): string[] | undefined {
  const json = trimStart(text);
  if (!json.startsWith('[')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  if (!value.every((item) => typeof item === 'string')) {
    throw new DockerfileError('when using JSON array syntax, arrays must be comprised of strings only');
  }
  return value;
}

/** `a=b c="d e"` or the old `a b c` (one name, the rest its value), as ENV and LABEL take them. */
export function nameValuePairs(
  text: string,
  instruction: string,
  escapeToken: string,
): { pairs: [string, string][]; legacy: boolean } {
  const words = splitWords(text, escapeToken);
  if (words.length === 0) return { pairs: [], legacy: false };
  if (!words[0]!.includes('=')) {
    const [name, value] = firstWord(text);
    if (value === undefined) throw new DockerfileError(`${instruction} must have two arguments`);
    return { pairs: [[name, value]], legacy: true };
  }
  const pairs = words.map((word): [string, string] => {
    const equals = word.indexOf('=');
    if (equals >= 0) return [word.slice(0, equals), word.slice(equals + 1)];
    throw new DockerfileError(
      `Syntax error - can't find = in ${goQuote(word)}. Must be of the form: name=value`,
    );
  });
  return { pairs, legacy: false };
}
