import { invalid } from '#errors/errors.ts';

export type FilterToken =
  | {
      readonly kind: 'field' | 'value' | 'operator' | 'separator';
      readonly text: string;
      readonly at: number;
    }
  | { readonly kind: 'quoted'; readonly text: string; readonly quote: string; readonly at: number }
  | { readonly kind: 'end' | 'other'; readonly text: string; readonly at: number };

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
};
/** Escapes by number: how many digits, of which base. */
const NUMBERS: Readonly<Record<string, readonly [digits: number, base: number]>> = {
  x: [2, 16],
  u: [4, 16],
  U: [8, 16],
};

/** The words of containerd's filters (pkg/filters), one after the other. */
export class FilterScanner {
  readonly #text: string;
  #at = 0;
  /** After an operator any characters are a value. */
  #value = false;

  constructor(text: string) {
    this.#text = text;
  }

  /** Throws `invalid` for a quote without an end, and for escapes that Go does not know. */
  next(): FilterToken {
    this.#at += /^\s*/.exec(this.#text.slice(this.#at))![0].length;
    const at = this.#at;
    const first = this.#text[at];
    if (first === undefined) return { kind: 'end', text: '', at };
    if (first === '"' || first === '/' || first === '|') return this.#quoted(first);
    if (first === ',' || first === '.') {
      this.#value = false;
      return this.#take('separator', /[,.]/y);
    }
    if (/[=!~]/.test(first)) {
      this.#value = true;
      return this.#take('operator', /[=!~]+/y);
    }
    if (this.#value) {
      this.#value = false;
      return this.#take('value', /[^,\s]+/y);
    }
    return /\w/.test(first) ? this.#take('field', /\w+/y) : { kind: 'other', text: first, at };
  }

  /** What is wrong at a place, as containerd says it. */
  refusal(at: number, why: string): Error {
    const text = this.#text;
    const shown = at < text.length ? `${text.slice(0, at)} >|${text[at]}|< ${text.slice(at + 1)}` : text;
    return invalid(`filters: parse error: [${shown}]: ${why}: invalid argument`);
  }

  #take(kind: 'field' | 'value' | 'operator' | 'separator', pattern: RegExp): FilterToken {
    const at = this.#at;
    pattern.lastIndex = at;
    const [text] = pattern.exec(this.#text)!;
    this.#at += text.length;
    return { kind, text, at };
  }

  #quoted(quote: string): FilterToken {
    const at = this.#at++;
    let text = '';
    for (;;) {
      const char = this.#text[this.#at++];
      if (char === quote) return { kind: 'quoted', text, quote, at };
      if (char === undefined || char === '\n') throw this.refusal(at, 'quoted literal not terminated');
      text += char === '\\' ? this.#escaped(quote, at) : char;
    }
  }

  #escaped(quote: string, at: number): string {
    const char = this.#text[this.#at++] ?? '';
    if (char === quote) return quote;
    const known = ESCAPES[char];
    if (known !== undefined) return known;
    const octal = /[0-7]/.test(char);
    const [digits, base] = octal ? [3, 8] : (NUMBERS[char] ?? [0, 0]);
    if (digits === 0) throw this.refusal(at, 'illegal escape sequence');
    const start = octal ? this.#at - 1 : this.#at;
    const number = this.#text.slice(start, start + digits);
    const valid = number.length === digits && (base === 8 ? /^[0-7]+$/ : /^[0-9a-f]+$/i).test(number);
    const code = Number.parseInt(number, base);
    if (!valid || code > 0x10ffff) throw this.refusal(at, 'illegal numeric escape sequence');
    this.#at = start + digits;
    return String.fromCodePoint(code);
  }
}
