import { commandLine } from './command-line.ts';
import { compareText } from './compare-text.ts';
import { descriptionOf } from './description.ts';
import { DockerfileError } from './dockerfile-error.ts';
import { readFlags } from './flags.ts';
import { parseHealthcheck } from './healthcheck.ts';
import type { FromInstruction, Instruction } from './instructions.ts';
import { parseCopy } from './parse-copy.ts';
import { parseFrom } from './parse-from.ts';
import { parseRun } from './parse-run.ts';
import { trimSpace } from './spaces.ts';
import type { PlacedStatement } from './statement.ts';
import { didYouMean } from './suggestion.ts';
import { writtenOf } from './written.ts';

const KEYWORDS: readonly string[] = [
  ...['ADD', 'ARG', 'CMD', 'COPY', 'ENTRYPOINT', 'ENV', 'EXPOSE', 'FROM', 'HEALTHCHECK', 'LABEL'],
  ...['MAINTAINER', 'ONBUILD', 'RUN', 'SHELL', 'STOPSIGNAL', 'USER', 'VOLUME', 'WORKDIR'],
];

/** Gives a statement its meaning. Throws `DockerfileError` without a place. */
export function parseInstruction(statement: PlacedStatement): Instruction | FromInstruction {
  const keyword = statement.keyword.toUpperCase();
  switch (keyword) {
    case 'FROM':
      return parseFrom(statement);
    case 'RUN':
      return parseRun(statement);
    case 'COPY':
    case 'ADD':
      return parseCopy(statement, keyword);
    case 'ENV':
    case 'LABEL':
      return parsePairs(statement, keyword);
    case 'ARG':
      return parseArg(statement);
    case 'CMD':
    case 'ENTRYPOINT':
      noFlags(statement);
      return { name: keyword, command: commandLine(statement), ...writtenOf(statement) };
    case 'EXPOSE':
    case 'VOLUME':
      return parseList(statement, keyword);
    case 'WORKDIR':
    case 'USER':
    case 'STOPSIGNAL':
    case 'MAINTAINER':
      return parseValue(statement, keyword);
    case 'ONBUILD':
      return parseOnbuild(statement);
    case 'SHELL':
      return parseShell(statement);
    case 'HEALTHCHECK':
      return { name: 'HEALTHCHECK', healthcheck: parseHealthcheck(statement), ...writtenOf(statement) };
    default: {
      const suggestion = didYouMean(statement.keyword, KEYWORDS, { ignoreCase: true });
      throw new DockerfileError(`unknown instruction: ${statement.keyword}${suggestion}`);
    }
  }
}

function noFlags({ flags }: PlacedStatement): void {
  readFlags(flags, {});
}

function parsePairs(statement: PlacedStatement, name: 'ENV' | 'LABEL'): Instruction {
  noFlags(statement);
  const { pairs, legacyPairs: legacy } = statement;
  if (pairs.length === 0) throw atLeastOne(name);
  if (pairs.some(([key]) => key === '')) throw new DockerfileError(`${name} names can not be blank`);
  return { name, pairs, legacy, ...writtenOf(statement) };
}

function parseArg(statement: PlacedStatement): Instruction {
  if (statement.args.length === 0) throw atLeastOne('ARG');
  const args = statement.args.map((word) => {
    const equals = word.indexOf('=');
    if (equals === 0) throw new DockerfileError('ARG names can not be blank');
    const name = equals < 0 ? word : word.slice(0, equals);
    const description = descriptionOf(name, statement.comments);
    return {
      name,
      ...(equals > 0 && { value: word.slice(equals + 1) }),
      ...(description !== undefined && { description }),
    };
  });
  return { name: 'ARG', args, ...writtenOf(statement) };
}

function parseList(statement: PlacedStatement, name: 'EXPOSE' | 'VOLUME'): Instruction {
  if (statement.args.length === 0) throw atLeastOne(name);
  noFlags(statement);
  if (name === 'EXPOSE') {
    return { name, items: [...statement.args].sort(compareText), ...writtenOf(statement) };
  }
  const items = statement.args.map(trimSpace);
  if (items.includes('')) throw new DockerfileError('VOLUME specified can not be an empty string');
  return { name, items, ...writtenOf(statement) };
}

function parseValue(
  statement: PlacedStatement,
  name: 'WORKDIR' | 'USER' | 'STOPSIGNAL' | 'MAINTAINER',
): Instruction {
  const [value] = statement.args;
  if (value === undefined) throw new DockerfileError(`${name} requires exactly one argument`);
  if (name !== 'STOPSIGNAL') noFlags(statement);
  return { name, value, ...writtenOf(statement) };
}

function parseOnbuild(statement: PlacedStatement): Instruction {
  if (!statement.trigger) throw atLeastOne('ONBUILD');
  noFlags(statement);
  const keyword = statement.trigger.keyword.toUpperCase();
  if (keyword === 'ONBUILD') {
    throw new DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  }
  if (keyword === 'MAINTAINER' || keyword === 'FROM') {
    throw new DockerfileError(`${keyword} isn't allowed as an ONBUILD trigger`);
  }
  const written = statement.untrimmed.replace(/^ONBUILD[\t\n\f\r ]*/i, '');
  const documents = statement.heredocs.map(({ content, name }) => `\n${content}${name}`);
  return { name: 'ONBUILD', trigger: written + documents.join(''), ...writtenOf(statement) };
}

function parseShell(statement: PlacedStatement): Instruction {
  noFlags(statement);
  if (statement.args.length === 0) throw atLeastOne('SHELL');
  if (!statement.json) throw new DockerfileError('SHELL requires the arguments to be in JSON form');
  return { name: 'SHELL', shell: statement.args, ...writtenOf(statement) };
}

function atLeastOne(keyword: string): DockerfileError {
  return new DockerfileError(`${keyword} requires at least one argument`);
}
