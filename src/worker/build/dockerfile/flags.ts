import { DockerfileError } from './dockerfile-error.ts';
import { unquote, wordEnd } from './words.ts';

/** How often and in which form an instruction takes a flag. */
export type FlagKind = 'value' | 'values' | 'boolean';

export interface Flags {
  value(name: string): string | undefined;
  values(name: string): readonly string[];
  boolean(name: string): boolean;
}

/** Takes the `--name[=value]` words off the front of an instruction's arguments. */
export function takeFlags(args: string, escapeToken: string): { flags: string[]; rest: string } {
  const flags: string[] = [];
  let at = skipSpace(args, 0);
  while (args.startsWith('--', at)) {
    const end = wordEnd(args, at, escapeToken);
    const word = args.slice(at, end);
    at = skipSpace(args, end);
    if (word === '--') break;
    flags.push(unquote(word, escapeToken) ?? word);
  }
  return { flags, rest: args.slice(at) };
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && /\s/.test(text[at]!)) at++;
  return at;
}

/** Reads flags against those that an instruction knows. Throws `DockerfileError`. */
export function readFlags(flags: readonly string[], known: Readonly<Record<string, FlagKind>>): Flags {
  const found = new Map<string, string[]>();
  for (const flag of flags) {
    const equals = flag.indexOf('=');
    const name = flag.slice(2, equals < 0 ? undefined : equals);
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) throw new DockerfileError(`unknown flag: --${name}`);
    if (found.has(name) && kind !== 'values')
      throw new DockerfileError(`Duplicate flag specified: --${name}`);
    const value = equals < 0 ? undefined : flag.slice(equals + 1);
    if (value === undefined && kind !== 'boolean') {
      throw new DockerfileError(`missing a value on flag: --${name}`);
    }
    if (kind === 'boolean' && value !== undefined && value !== 'true' && value !== 'false') {
      throw new DockerfileError(`expecting boolean value for flag --${name}, not: ${value}`);
    }
    found.set(name, [...(found.get(name) ?? []), value ?? 'true']);
  }
  return {
    value: (name) => found.get(name)?.[0],
    values: (name) => found.get(name) ?? [],
    boolean: (name) => found.get(name)?.[0] === 'true',
  };
}
