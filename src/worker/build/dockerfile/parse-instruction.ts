import { commandLine } from './command-line.ts';
import { DockerfileError } from './dockerfile-error.ts';
import { readFlags, takeFlags } from './flags.ts';
import { parseHealthcheck } from './healthcheck.ts';
import type { Heredoc } from './heredoc.ts';
import type { FromInstruction, Instruction } from './instructions.ts';
import type { LogicalLine } from './lexer.ts';
import { parseCopy } from './parse-copy.ts';
import { parseRun } from './parse-run.ts';
import { jsonStrings, nameValuePairs, splitWords } from './words.ts';

/** An instruction's text taken apart as far as all of them have in common. */
export interface RawInstruction {
  readonly keyword: string;
  readonly flags: readonly string[];
  /** What follows the flags, trimmed. */
  readonly rest: string;
  readonly heredocs: readonly Heredoc[];
  readonly escapeToken: string;
  readonly written: { readonly line: number; readonly text: string };
}

/** Gives one logical line its meaning. Throws `DockerfileError` without a line. */
export function parseInstruction(logical: LogicalLine, escapeToken: string): Instruction | FromInstruction {
  const [, word, args] = /^(\S+)\s*([\s\S]*)$/.exec(logical.text)!;
  const { flags, rest } = takeFlags(args!, escapeToken);
  const keyword = word!.toUpperCase();
  return parseRaw({
    keyword,
    flags,
    rest: rest.trim(),
    heredocs: logical.heredocs,
    escapeToken,
    written: { line: logical.line, text: logical.text },
  });
}

function parseRaw(raw: RawInstruction): Instruction | FromInstruction {
  const { keyword, rest, written } = raw;
  switch (keyword) {
    case 'FROM':
      return parseFrom(raw);
    case 'RUN':
      return parseRun(raw);
    case 'COPY':
    case 'ADD':
      return parseCopy(raw, keyword);
    case 'ENV':
    case 'LABEL':
      noFlags(raw);
      return { name: keyword, pairs: nameValuePairs(rest, keyword, raw.escapeToken), ...written };
    case 'ARG':
      return parseArg(raw);
    case 'CMD':
    case 'ENTRYPOINT':
      noFlags(raw);
      return { name: keyword, command: commandLine(rest), ...written };
    case 'EXPOSE':
    case 'VOLUME':
      return parseList(raw, keyword);
    case 'WORKDIR':
    case 'USER':
    case 'STOPSIGNAL':
    case 'MAINTAINER':
      noFlags(raw);
      if (rest === '') throw new DockerfileError(`${keyword} requires exactly one argument`);
      return { name: keyword, value: rest, ...written };
    case 'ONBUILD':
      return parseOnbuild(raw);
    case 'SHELL':
      return parseShell(raw);
    case 'HEALTHCHECK':
      return { name: 'HEALTHCHECK', healthcheck: parseHealthcheck(raw.flags, rest), ...written };
    default:
      throw new DockerfileError(`unknown instruction: ${keyword}`);
  }
}

function noFlags(raw: RawInstruction): void {
  readFlags(raw.flags, {});
}

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

function parseFrom({ flags, rest, escapeToken, written }: RawInstruction): FromInstruction {
  const platform = readFlags(flags, { platform: 'value' }).value('platform');
  const words = splitWords(rest, escapeToken);
  if (words.length !== 1 && !(words.length === 3 && words[1]!.toLowerCase() === 'as')) {
    throw new DockerfileError('FROM requires either one or three arguments');
  }
  const stage = words[2]?.toLowerCase();
  if (stage !== undefined && !STAGE_NAME.test(stage)) {
    throw new DockerfileError(
      `invalid name for build stage: ${JSON.stringify(words[2])}, name can't start with a number or contain symbols`,
    );
  }
  return {
    name: 'FROM',
    image: words[0]!,
    ...(stage && { stage }),
    ...(platform && { platform }),
    ...written,
  };
}

function parseArg(raw: RawInstruction): Instruction {
  noFlags(raw);
  const words = splitWords(raw.rest, raw.escapeToken);
  if (words.length === 0) throw new DockerfileError('ARG requires at least one argument');
  const args = words.map((word) => {
    const equals = word.indexOf('=');
    if (equals === 0) throw new DockerfileError('ARG names can not be blank');
    return equals < 0 ? { name: word } : { name: word.slice(0, equals), value: word.slice(equals + 1) };
  });
  return { name: 'ARG', args, ...raw.written };
}

function parseList(raw: RawInstruction, name: 'EXPOSE' | 'VOLUME'): Instruction {
  noFlags(raw);
  const json = name === 'VOLUME' ? jsonStrings(raw.rest) : undefined;
  const items = json ?? raw.rest.split(/\s+/).filter(Boolean);
  if (items.length === 0) throw new DockerfileError(`${name} requires at least one argument`);
  if (name === 'VOLUME' && items.some((item) => item.trim() === '')) {
    throw new DockerfileError('VOLUME specified can not be an empty string');
  }
  return { name, items: items.map((item) => item.trim()), ...raw.written };
}

function parseOnbuild({ rest, flags, heredocs, written }: RawInstruction): Instruction {
  const trigger = [...flags, rest].join(' ').trim();
  const keyword = /^\S*/.exec(trigger)![0].toUpperCase();
  if (keyword === '') throw new DockerfileError('ONBUILD requires at least one argument');
  if (keyword === 'ONBUILD') {
    throw new DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  }
  if (keyword === 'MAINTAINER' || keyword === 'FROM') {
    throw new DockerfileError(`${keyword} isn't allowed as an ONBUILD trigger`);
  }
  const contents = heredocs.map((heredoc) => `\n${heredoc.content}${heredoc.name}`);
  return { name: 'ONBUILD', trigger: trigger + contents.join(''), ...written };
}

function parseShell(raw: RawInstruction): Instruction {
  noFlags(raw);
  const shell = jsonStrings(raw.rest);
  if (!shell) {
    throw new DockerfileError(
      `SHELL requires the arguments to be in JSON form, and ${JSON.stringify(raw.written.text)} is not`,
    );
  }
  if (shell.length === 0) throw new DockerfileError('SHELL requires at least one argument');
  return { name: 'SHELL', shell, ...raw.written };
}
