import { DockerfileError } from './dockerfile-error.ts';
import { isSpace } from './spaces.ts';
import { didYouMean } from './suggestion.ts';

/** How often and in which form an instruction takes a flag. */
export type FlagKind = 'value' | 'values' | 'boolean';

export interface Flags {
  value(name: string): string | undefined;
  values(name: string): readonly string[];
  /** undefined when it was not given. */
  boolean(name: string): boolean | undefined;
}

/** A `--…` word without its quotes and escapes, and where in the text it stands. */
export interface FlagWord {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Takes the `--name[=value]` words off the front of an instruction's arguments; `--` alone ends them. */
export function takeFlags(args: string, escapeToken: string): { flags: FlagWord[]; rest: string } {
  const flags: FlagWord[] = [];
  let at = skipSpace(args, 0);
  while (args.startsWith('--', at)) {
    const { word, end } = flagWord(args, at, escapeToken);
    if (word === '--') return { flags, rest: args.slice(end) };
    flags.push({ text: word, start: at, end });
    at = skipSpace(args, end);
  }
  return { flags, rest: args.slice(at) };
}

/** In quotes of either kind, white space is not the end; an escape at the end of all is dropped. */
function flagWord(args: string, start: number, escapeToken: string): { word: string; end: number } {
  let word = '';
  let quote = '';
  let at = start;
  for (; at < args.length; at++) {
    const char = args[at]!;
    if (char === quote) quote = '';
    else if (!quote && (char === '"' || char === "'")) quote = char;
    else if (!quote && isSpace(char)) break;
    else if (char === escapeToken) word += args[++at] ?? '';
    else word += char;
  }
  return { word, end: Math.min(at, args.length) };
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && isSpace(text[at]!)) at++;
  return at;
}

/** Reads flags against those that an instruction knows. Throws `DockerfileError`. */
export function readFlags(flags: readonly FlagWord[], known: Readonly<Record<string, FlagKind>>): Flags {
  const found = new Map<string, string[]>();
  for (const { text } of flags) {
    const equals = text.indexOf('=');
    const name = text.slice(2, equals < 0 ? undefined : equals);
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) {
      throw new DockerfileError(`unknown flag: --${name}${didYouMean(name, Object.keys(known))}`);
    }
    const earlier = found.get(name);
    if (earlier && kind !== 'values') throw new DockerfileError(`duplicate flag specified: --${name}`);
    const value = flagValue(name, kind, equals < 0 ? undefined : text.slice(equals + 1));
    if (earlier) earlier.push(value);
    else found.set(name, [value]);
  }
  return {
    value: (name) => found.get(name)?.[0],
    values: (name) => found.get(name) ?? [],
    boolean: (name) => (found.has(name) ? found.get(name)![0] === 'true' : undefined),
  };
}

function flagValue(name: string, kind: FlagKind, written: string | undefined): string {
  if (kind === 'boolean') {
    const value = (written ?? 'true').toLowerCase();
    if (value === 'true' || value === 'false') return value;
    if (written !== '') {
      throw new DockerfileError(`expecting boolean value for flag --${name}, not: ${written}`);
    }
  }
  if (written === undefined || kind === 'boolean') {
    throw new DockerfileError(`missing a value on flag: --${name}`);
  }
  return written;
}
