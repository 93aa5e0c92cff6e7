import type { Range } from '../llb/source-info.ts';
import { type FlagWord, takeFlags } from './flags.ts';
import type { Heredoc } from './heredoc.ts';
import { trimSpace } from './spaces.ts';
import { firstWord, jsonStrings, nameValuePairs, plainWords, splitWords } from './words.ts';

/**
 * A logical line taken apart as far as its keyword alone says. What is wrong at this level is found in the whole
 * file before any instruction is looked at.
 */
export interface Statement {
  /** As written; anything, for whether there is such an instruction is not known yet. */
  readonly keyword: string;
  readonly flags: readonly FlagWord[];
  /** The words after the flags; one word of all the text for those that are not split. */
  readonly args: readonly string[];
  /** The words were a JSON array. */
  readonly json: boolean;
  /** ENV's and LABEL's arguments, in place of `args`. */
  readonly pairs: readonly (readonly [name: string, value: string])[];
  /** They were written without an `=`. */
  readonly legacyPairs: boolean;
  /** ONBUILD's argument. */
  readonly trigger?: Statement;
}

/** A statement with what only a file can give it. */
export interface PlacedStatement extends Statement {
  readonly text: string;
  /** The text with the white space that the file has at its end. */
  readonly untrimmed: string;
  readonly heredocs: readonly Heredoc[];
  readonly comments: readonly string[];
  readonly range: Range;
  /** Where in the file its flags stand, in their order. */
  readonly flagRanges: readonly Range[];
}

type Arguments = Pick<Statement, 'args' | 'json' | 'pairs' | 'legacyPairs'>;

const NONE: Arguments = { args: [], json: false, pairs: [], legacyPairs: false };
const PLAIN_WORDS: readonly string[] = ['FROM', 'EXPOSE'];
const JSON_OR_WORDS: readonly string[] = ['ADD', 'COPY', 'VOLUME'];
const JSON_OR_TEXT: readonly string[] = ['RUN', 'CMD', 'ENTRYPOINT', 'SHELL'];
const TEXT: readonly string[] = ['MAINTAINER', 'STOPSIGNAL', 'USER', 'WORKDIR'];
const HEREDOCS: readonly string[] = ['RUN', 'COPY', 'ADD'];

/** Throws `DockerfileError`. */
export function parseStatement(line: string, escapeToken: string): Statement {
  const outer: Statement[] = [];
  let rest = line;
  for (;;) {
    const { keyword, flags, args } = splitStatement(rest, escapeToken);
    const isOnbuild = keyword.toUpperCase() === 'ONBUILD';
    const parsed = isOnbuild ? NONE : parseArguments(keyword.toUpperCase(), args, escapeToken);
    const statement = { keyword, flags, ...parsed };
    if (!isOnbuild || args === '') return nested(outer, statement);
    outer.push(statement);
    rest = args;
  }
}

/** ONBUILD ONBUILD … is refused later; here it must not end in a recursion as deep as the line is long. */
function nested(outer: readonly Statement[], innermost: Statement): Statement {
  return outer.reduceRight((trigger, statement) => ({ ...statement, trigger }), innermost);
}

function splitStatement(line: string, escapeToken: string) {
  const text = trimSpace(line);
  const [keyword, rest = ''] = firstWord(text);
  const { flags, rest: args } = takeFlags(rest, escapeToken);
  const at = text.length - rest.length;
  const placed = flags.map((flag) => ({ text: flag.text, start: at + flag.start, end: at + flag.end }));
  return { keyword, flags: placed, args: trimSpace(args) };
}

function parseArguments(keyword: string, text: string, escapeToken: string): Arguments {
  if (keyword === 'ENV' || keyword === 'LABEL') {
    const { pairs, legacy } = nameValuePairs(text, keyword, escapeToken);
    return { ...NONE, pairs, legacyPairs: legacy };
  }
  if (keyword === 'ARG') return { ...NONE, args: splitWords(text, escapeToken) };
  if (PLAIN_WORDS.includes(keyword)) return { ...NONE, args: plainWords(text) };
  if (TEXT.includes(keyword)) return { ...NONE, args: asOne(text) };
  if (JSON_OR_TEXT.includes(keyword)) return jsonOr(text, asOne);
  if (JSON_OR_WORDS.includes(keyword)) return jsonOr(text, plainWords);
  if (keyword === 'HEALTHCHECK') {
    const [, type = '', command = ''] = /^(\S*)\s*([\s\S]*)$/.exec(text)!;
    if (type === '') return NONE;
    const parsed = jsonOr(command, asOne);
    return { ...parsed, args: [type, ...parsed.args] };
  }
  return NONE;
}

function asOne(text: string): string[] {
  return text === '' ? [] : [text];
}

function jsonOr(text: string, otherwise: (text: string) => string[]): Arguments {
  const json = jsonStrings(text);
  return { ...NONE, args: json ?? otherwise(text), json: json !== undefined };
}

/** Whether `<<` in its line opens heredocs. */
export function takesHeredocs(statement: Statement): boolean {
  const target = statement.trigger ?? statement;
  return HEREDOCS.includes(target.keyword.toUpperCase()) && !target.json;
}
