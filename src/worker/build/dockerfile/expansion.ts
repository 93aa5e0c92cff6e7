import { DockerfileError } from './dockerfile-error.ts';
import { ExpandedWords } from './expanded-words.ts';
import { goQuote } from './go-quote.ts';
import { replacePattern, trimPrefix, trimSuffix } from './shell-pattern.ts';

/** Looks a variable up; undefined when it is not set (which `${x-…}` tells from empty). */
export type Variables = (name: string) => string | undefined;

/** The names are BuildKit's, of its shell.Lex. */
export interface ExpandOptions {
  readonly escapeToken: string;
  /** Quotes still quote, but stay where they are. */
  readonly rawQuotes?: boolean;
  /** Escapes still escape, but stay where they are. */
  readonly rawEscapes?: boolean;
  /** Quotes are characters like others: heredocs. */
  readonly skipProcessQuotes?: boolean;
  /** Variables that are not set stay as they are written. */
  readonly skipUnsetEnv?: boolean;
}

export interface Expansion {
  readonly result: string;
  /** The result split at white space that was not quoted. */
  readonly words: readonly string[];
  /** The names that were looked up and found, and those that were not, in the order of their first use. */
  readonly matched: ReadonlySet<string>;
  readonly unmatched: ReadonlySet<string>;
}

/** A nested `${a:-${b:-…}}` deeper than this is not a Dockerfile that anybody wrote. */
const MAX_DEPTH = 200;
/** How much longer than what is written a value may become: variables that double each other line by line end here. */
const MAX_GROWTH = 1024 * 1024;

/** Characters that mean nothing anywhere. */
const PLAIN = /[^$<'"\\`}/]+/y;
const LETTER_OR_DIGIT = /[\p{L}\p{Nd}_]/u;
const DIGIT = /\p{Nd}/u;
const SPECIAL_PARAMETERS = '@*#?-$!0';
const HEREDOC_SPACE = '\t\r ';
const CUT_OFF = "syntax error: missing '}'";
// biome-ignore lint/suspicious/noTemplateCurlyInString: that is how it is written
const CUT_OFF_PATTERN = "syntax error: missing '/' in ${}";

/** Expands variables in a word and takes its quotes and escapes out. Throws `DockerfileError`. */
export function expand(word: string, variables: Variables, options: ExpandOptions): string {
  return expandTracked(word, variables, options).result;
}

/** As `expand`, then split at white space that came from outside of quotes (EXPOSE's `$ports`). */
export function expandWords(word: string, variables: Variables, options: ExpandOptions): readonly string[] {
  return expandTracked(word, variables, options).words;
}

/** The content of a COPY or ADD heredoc whose name was not quoted: the escape is `\`, whatever the directive says. */
export function expandHeredoc(content: string, variables: Variables): Expansion {
  return expandTracked(content, variables, { escapeToken: '\\', skipProcessQuotes: true });
}

/** As `expand`, with all that became of it. */
export function expandTracked(word: string, variables: Variables, options: ExpandOptions): Expansion {
  const expander = new Expander(word, variables, options);
  try {
    return expander.all();
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    throw new DockerfileError(`failed to process ${goQuote(shortened(word))}: ${error.message}`);
  }
}

/** A heredoc of megabytes does not belong into a message. */
function shortened(word: string): string {
  return word.length > 65_536 ? `${word.slice(0, 1000)}…` : word;
}

class Expander {
  readonly #text: string;
  readonly #variables: Variables;
  readonly #options: ExpandOptions;
  readonly #escape: string;
  readonly #matched = new Set<string>();
  readonly #unmatched = new Set<string>();
  readonly #maxLength: number;
  #rawEscapes: boolean;
  #depth = 0;
  #at = 0;

  constructor(text: string, variables: Variables, options: ExpandOptions) {
    this.#text = text;
    this.#variables = variables;
    this.#options = options;
    this.#escape = options.escapeToken;
    this.#maxLength = text.length + MAX_GROWTH;
    this.#rawEscapes = options.rawEscapes ?? false;
  }

  all(): Expansion {
    const words = new ExpandedWords();
    const result = this.#until('', words);
    return { result, words: words.finish(), matched: this.#matched, unmatched: this.#unmatched };
  }

  /** Expands up to, and past, the character `stop`; to the end when there is none. */
  #until(stop: string, words?: ExpandedWords): string {
    let out = '';
    while (this.#at < this.#text.length) {
      this.#refuseLong(out);
      const char = this.#text[this.#at]!;
      if (char === stop) {
        this.#at++;
        return out;
      }
      if (char === '$') {
        const value = this.#dollar();
        out += value;
        words?.splitText(value);
      } else if (char === '<' || this.#opensQuote(char)) {
        const text = char === '<' ? this.#lessThan() : this.#quoted(char);
        out += text;
        words?.text(text);
      } else if (char === this.#escape) {
        const text = this.#escaped();
        out += text;
        words?.text(text);
      } else {
        const text = this.#plain();
        out += text;
        words?.splitText(text);
      }
    }
    if (stop !== '') {
      throw new DockerfileError(`unexpected end of statement while looking for matching ${stop}`);
    }
    this.#refuseLong(out);
    return out;
  }

  #refuseLong(value: string): void {
    if (value.length > this.#maxLength)
      throw new DockerfileError(`the value is longer than ${this.#maxLength} characters`);
  }

  /** One character, and all that follow it that mean nothing. */
  #plain(): string {
    PLAIN.lastIndex = this.#at;
    const text = PLAIN.exec(this.#text)?.[0] ?? this.#text[this.#at]!;
    this.#at += text.length;
    return text;
  }

  #opensQuote(char: string): boolean {
    return (char === "'" || char === '"') && !this.#options.skipProcessQuotes;
  }

  /** An escape escapes anything; at the end of all it is dropped. */
  #escaped(): string {
    const next = this.#character(this.#at + 1);
    this.#at += 1 + next.length;
    return (this.#rawEscapes ? this.#escape : '') + next;
  }

  #quoted(quote: string): string {
    const inside = quote === "'" ? this.#singleQuoted() : this.#doubleQuoted();
    return this.#options.rawQuotes ? quote + inside + quote : inside;
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end < 0) {
      this.#at = this.#text.length;
      throw new DockerfileError('unexpected end of statement while looking for matching single-quote');
    }
    const inside = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return inside;
  }

  #doubleQuoted(): string {
    this.#at++;
    let out = '';
    while (this.#at < this.#text.length) {
      this.#refuseLong(out);
      const char = this.#text[this.#at]!;
      if (char === '"') {
        this.#at++;
        return out;
      }
      if (char === '$') out += this.#dollar();
      else if (char === this.#escape) {
        const next = this.#text[this.#at + 1] ?? '';
        const escapable = next !== '' && (next === '"' || next === '$' || next === this.#escape);
        if (this.#rawEscapes) out += char;
        if (escapable) out += next;
        else if (next !== '') out += char;
        this.#at += escapable ? 2 : 1;
      } else {
        out += this.#plain();
      }
    }
    throw new DockerfileError('unexpected end of statement while looking for matching double-quote');
  }

  /** `<<` takes the white space after it along, so that `<< EOF` is one word. */
  #lessThan(): string {
    const start = this.#at++;
    if (this.#text[this.#at] !== '<') return '<';
    this.#at++;
    while (this.#at < this.#text.length && HEREDOC_SPACE.includes(this.#text[this.#at]!)) this.#at++;
    return this.#text.slice(start, this.#at);
  }

  #dollar(): string {
    this.#at++;
    if (this.#text[this.#at] !== '{') {
      const name = this.#name();
      if (name === '') return '$';
      return this.#lookUp(name) ?? (this.#options.skipUnsetEnv ? `$${name}` : '');
    }
    this.#at++;
    if (++this.#depth > MAX_DEPTH) throw new DockerfileError('substitutions are nested too deeply');
    const value = this.#braced();
    this.#depth--;
    return value;
  }

  #lookUp(name: string): string | undefined {
    const value = this.#variables(name);
    (value === undefined ? this.#unmatched : this.#matched).add(name);
    return value;
  }

  /** A whole character, though it may be two UTF-16 units. */
  #character(at: number): string {
    const code = this.#text.codePointAt(at);
    return code === undefined ? '' : String.fromCodePoint(code);
  }

  #take(): string {
    const char = this.#character(this.#at);
    this.#at += char.length;
    return char;
  }

  #name(): string {
    const start = this.#at;
    const first = this.#character(start);
    if (first !== '' && !DIGIT.test(first) && SPECIAL_PARAMETERS.includes(first)) return this.#take();
    const pattern = DIGIT.test(first) ? DIGIT : LETTER_OR_DIGIT;
    for (let char = first; char !== '' && pattern.test(char); char = this.#character(this.#at)) {
      this.#at += char.length;
    }
    return this.#text.slice(start, this.#at);
  }

  #braced(): string {
    const next = this.#text[this.#at];
    if (next === undefined) throw new DockerfileError(CUT_OFF);
    if ('{}:'.includes(next)) throw new DockerfileError('syntax error: bad substitution');
    const name = this.#name();
    const operator = this.#take();
    switch (operator) {
      case '}':
        return this.#lookUp(name) ?? (this.#options.skipUnsetEnv ? `\${${name}}` : '');
      case '#':
      case '%':
        return this.#trimmed(name, operator);
      case ':':
        return this.#conditional(name, ':', this.#take());
      case '+':
      case '-':
      case '?':
        return this.#conditional(name, '', operator);
      case '/':
        return this.#replaced(name);
      case '':
        throw new DockerfileError(CUT_OFF);
      default:
        throw new DockerfileError(`unsupported modifier (${operator}) in substitution`);
    }
  }

  /** `-` another value, `+` a value instead, `?` an error; after a colon, empty is as good as not set. */
  #conditional(name: string, colon: '' | ':', operator: string): string {
    const modifier = colon + operator;
    const unsupported = () => new DockerfileError(`unsupported modifier (${modifier}) in substitution`);
    if (operator === '#' || operator === '%') throw unsupported();
    const word = this.#rest('}', false, CUT_OFF);
    const value = this.#lookUp(name);
    if (value === undefined && this.#options.skipUnsetEnv) return `\${${name}${modifier}${word}}`;
    const present = colon ? Boolean(value) : value !== undefined;
    switch (operator) {
      case '-':
        return present ? value! : word;
      case '+':
        return present ? word : '';
      case '?':
        if (present) return value!;
        throw new DockerfileError(
          `${name}: ${word || (value === undefined ? 'is not allowed to be unset' : 'is not allowed to be empty')}`,
        );
      default:
        throw unsupported();
    }
  }

  #trimmed(name: string, operator: '#' | '%'): string {
    const written = this.#rest('}', true, CUT_OFF);
    const value = this.#lookUp(name);
    if (value === undefined && this.#options.skipUnsetEnv) return `\${${name}${operator}${written}}`;
    const greedy = written.startsWith(operator);
    const pattern = greedy ? written.slice(1) : written;
    return (operator === '#' ? trimPrefix : trimSuffix)(value ?? '', pattern, greedy);
  }

  #replaced(name: string): string {
    const all = this.#text[this.#at] === '/';
    if (all) this.#at++;
    const pattern = this.#rest('/', true, CUT_OFF_PATTERN);
    const replacement = this.#rest('}', true, CUT_OFF);
    const value = this.#lookUp(name);
    if (value === undefined && this.#options.skipUnsetEnv) return `\${${name}/${pattern}/${replacement}}`;
    return replacePattern(value ?? '', pattern, replacement, all);
  }

  /** The expanded rest up to `stop`; whatever is wrong with one that the end cuts off, that is what is said. */
  #rest(stop: string, rawEscapes: boolean, cutOff: string): string {
    const before = this.#rawEscapes;
    this.#rawEscapes = rawEscapes;
    try {
      return this.#until(stop);
    } catch (error) {
      if (error instanceof DockerfileError && this.#at >= this.#text.length)
        throw new DockerfileError(cutOff);
      throw error;
    } finally {
      this.#rawEscapes = before;
    }
  }
}
