import { DockerfileError } from './dockerfile-error.ts';

/**
 * Splits at white space outside of quotes. Quotes and escapes stay in the words: expansion takes them out
 * later, when the variables are known. An unclosed quote reaches to the end.
 */
export function splitWords(text: string, escapeToken: string): string[] {
  const words: string[] = [];
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text[at]!)) {
      at++;
      continue;
    }
    const end = wordEnd(text, at, escapeToken);
    words.push(text.slice(at, end));
    at = end;
  }
  return words;
}

/** Where the word that begins at `start` ends. */
export function wordEnd(text: string, start: number, escapeToken: string): number {
  let quote = '';
  for (let at = start; at < text.length; at++) {
    const char = text[at]!;
    if (char === escapeToken && quote !== "'") at++;
    else if (quote) quote = char === quote ? '' : quote;
    else if (char === '"' || char === "'") quote = char;
    else if (/\s/.test(char)) return at;
  }
  return text.length;
}

/** A word without its quotes and escapes; undefined when a quote is not closed. */
export function unquote(word: string, escapeToken: string): string | undefined {
  let plain = '';
  let quote = '';
  for (let at = 0; at < word.length; at++) {
    const char = word[at]!;
    if (char === escapeToken && quote !== "'" && at + 1 < word.length) plain += word[++at];
    else if (char === quote) quote = '';
    else if (!quote && (char === '"' || char === "'")) quote = char;
    else plain += char;
  }
  return quote ? undefined : plain;
}

/**
 * The list of an exec form (`["a", "b"]`), or undefined when the text is not a JSON array and so a shell form.
 * Throws for a JSON array of anything but strings.
 */
export function jsonStrings(text: string): string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
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
export function nameValuePairs(text: string, instruction: string, escapeToken: string): [string, string][] {
  const words = splitWords(text, escapeToken);
  if (words.length === 0) throw new DockerfileError(`${instruction} requires at least one argument`);
  if (!words[0]!.includes('=')) {
    const [, name, value] = /^(\S+)\s+([\s\S]*)$/.exec(text) ?? [];
    if (name === undefined || value === undefined) {
      throw new DockerfileError(`${instruction} must have two arguments`);
    }
    return [[name, value]];
  }
  return words.map((word) => {
    const equals = word.indexOf('=');
    if (equals < 0) {
      throw new DockerfileError(
        `Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`,
      );
    }
    if (equals === 0) throw new DockerfileError(`${instruction} names can not be blank`);
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
}
