import { DockerfileError } from './dockerfile-error.ts';
import { replacePattern, trimPrefix, trimSuffix } from './shell-pattern.ts';

/** Looks a variable up; undefined when it is not set (which `${x-…}` tells from empty). */
export type Variables = (name: string) => string | undefined;

interface Options {
  readonly escapeToken: string;
  /** Leave quotes and escapes as they are: heredocs. */
  readonly raw?: boolean;
}

/** A nested `${a:-${b:-…}}` deeper than this is not a Dockerfile that anybody wrote. */
const MAX_DEPTH = 100;
/** Variables that double each other line by line end here. */
const MAX_LENGTH = 1024 * 1024;

/** Expands variables in a word and takes its quotes and escapes out. Throws `DockerfileError`. */
export function expand(word: string, variables: Variables, options: Options): string {
  const scanner = new Expander(word, variables, options);
  try {
    return scanner.until('', 0);
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    throw new DockerfileError(`failed to process ${JSON.stringify(word)}: ${error.message}`);
  }
}

/** As `expand`, then split at white space that came from outside of quotes (EXPOSE's `$ports`). */
export function expandWords(word: string, variables: Variables, options: Options): string[] {
  return expand(word, variables, options).split(/\s+/).filter(Boolean);
}

class Expander {
  readonly #text: string;
  readonly #variables: Variables;
  readonly #escape: string;
  readonly #raw: boolean;
  #at = 0;

  constructor(text: string, variables: Variables, options: Options) {
    this.#text = text;
    this.#variables = variables;
    this.#escape = options.escapeToken;
    this.#raw = options.raw ?? false;
  }

  /** Expands up to (and past) one of the characters in `stop`; to the end when there is none. */
  until(stop: string, depth: number): string {
    if (depth > MAX_DEPTH) throw new DockerfileError('substitutions are nested too deeply');
    let out = '';
    while (this.#at < this.#text.length) {
      if (out.length > MAX_LENGTH) throw new DockerfileError(`the value is longer than ${MAX_LENGTH}`);
      const char = this.#text[this.#at]!;
      if (stop !== '' && stop.includes(char)) {
        this.#at++;
        return out;
      }
      if (char === "'" && !this.#raw) out += this.#singleQuoted();
      else if (char === '"' && !this.#raw) out += this.#doubleQuoted(depth);
      else if (char === '$') out += this.#dollar(depth);
      else if (char === this.#escape) out += this.#escaped();
      else {
        out += char;
        this.#at++;
      }
    }
    if (stop !== '') {
      throw new DockerfileError('unexpected end of statement while looking for matching }');
    }
    if (out.length > MAX_LENGTH) throw new DockerfileError(`the value is longer than ${MAX_LENGTH}`);
    return out;
  }

  #escaped(): string {
    const next = this.#text[this.#at + 1];
    this.#at += 2;
    if (this.#raw) return next === '$' ? '$' : this.#escape + (next ?? '');
    return next ?? '';
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end < 0) {
      throw new DockerfileError('unexpected end of statement while looking for matching single-quote');
    }
    const inside = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return inside;
  }

  #doubleQuoted(depth: number): string {
    this.#at++;
    let out = '';
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at]!;
      if (char === '"') {
        this.#at++;
        return out;
      }
      if (char === '$') out += this.#dollar(depth);
      else if (char === this.#escape) {
        const next = this.#text[this.#at + 1] ?? '';
        out += next === '"' || next === '$' || next === this.#escape ? next : char + next;
        this.#at += 2;
      } else {
        out += char;
        this.#at++;
      }
    }
    throw new DockerfileError('unexpected end of statement while looking for matching double-quote');
  }

  #dollar(depth: number): string {
    this.#at++;
    if (this.#text[this.#at] === '{') {
      this.#at++;
      return this.#braced(depth);
    }
    const name = this.#name();
    return name === '' ? '$' : (this.#variables(name) ?? '');
  }

  #name(): string {
    const match = /^(?:[A-Za-z_][A-Za-z0-9_]*|\d+|[@*#?$!-])/.exec(
      this.#text.slice(this.#at, this.#at + 256),
    );
    if (!match) return '';
    // A longer name than the look-ahead goes on until it ends.
    let name = match[0];
    this.#at += name.length;
    while (name.length >= 256 && /[A-Za-z0-9_]/.test(this.#text[this.#at] ?? ''))
      name += this.#text[this.#at++];
    return name;
  }

  #braced(depth: number): string {
    const name = this.#name();
    if (name === '') throw new DockerfileError('syntax error: bad substitution');
    const value = this.#variables(name);
    const operator = this.#text[this.#at++];
    switch (operator) {
      case '}':
        return value ?? '';
      case ':': {
        const kind = this.#text[this.#at++] ?? '';
        return this.#conditional(name, value || undefined, kind, `:${kind}`, depth);
      }
      case '-':
      case '+':
      case '?':
        return this.#conditional(name, value, operator, operator, depth);
      case '#':
      case '%':
        return this.#trimmed(value, operator, depth);
      case '/':
        return this.#replaced(value, depth);
      case undefined:
        throw new DockerfileError("syntax error: missing '}'");
      default:
        throw new DockerfileError(`unsupported modifier (${operator}) in substitution`);
    }
  }

  #conditional(
    name: string,
    value: string | undefined,
    kind: string,
    written: string,
    depth: number,
  ): string {
    if (kind !== '-' && kind !== '+' && kind !== '?') {
      throw new DockerfileError(`unsupported modifier (${written}) in substitution`);
    }
    const word = this.until('}', depth + 1);
    if (kind === '-') return value ?? word;
    if (kind === '+') return value === undefined ? '' : word;
    if (value !== undefined) return value;
    throw new DockerfileError(
      `${name}: ${word || (written === '?' ? 'is not allowed to be unset' : 'is not allowed to be unset or empty')}`,
    );
  }

  #trimmed(value: string | undefined, operator: '#' | '%', depth: number): string {
    const greedy = this.#text[this.#at] === operator;
    if (greedy) this.#at++;
    const pattern = this.#pattern('}', depth);
    return (operator === '#' ? trimPrefix : trimSuffix)(value ?? '', pattern, greedy);
  }

  #replaced(value: string | undefined, depth: number): string {
    const all = this.#text[this.#at] === '/';
    if (all) this.#at++;
    const pattern = this.#pattern('/', depth);
    const replacement = this.until('}', depth + 1);
    return replacePattern(value ?? '', pattern, replacement, all);
  }

  /** A pattern keeps its escapes (they make `*` literal); variables in it are expanded. */
  #pattern(stop: string, depth: number): string {
    if (depth > MAX_DEPTH) throw new DockerfileError('substitutions are nested too deeply');
    let out = '';
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at]!;
      if (char === stop) {
        this.#at++;
        return out;
      }
      if (char === this.#escape) {
        out += `\\${this.#text[this.#at + 1] ?? '\\'}`;
        this.#at += 2;
      } else if (char === '$') out += this.#dollar(depth + 1);
      else {
        out += char;
        this.#at++;
      }
    }
    throw new DockerfileError(`unexpected end of statement while looking for matching ${stop}`);
  }
}
