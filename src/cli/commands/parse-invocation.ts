import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { messageOf } from '#errors/errors.ts';
import { Refusal } from '../refusal.ts';
import {
  type CommandShape,
  type GroupShape,
  isGroup,
  type OptionDefinition,
  type OptionValues,
} from './command.ts';
import { commandHelp, groupHelp } from './help.ts';

type Options = Readonly<Record<string, OptionDefinition>>;

export interface Parsed<C> {
  readonly name: string;
  readonly command: C;
  readonly options: OptionValues;
  readonly arguments: readonly string[];
}

/**
 * The command that a line asks for, with what it gives: `argv` is what follows the name. A text is what the caller wants to
 * read: help. Throws `Refusal` with exit code 2.
 */
export function parseInvocation<C extends CommandShape>(
  name: string,
  command: C | GroupShape<C>,
  argv: readonly string[],
  global: Options,
): Parsed<C> | string {
  const found = isGroup(command) ? findCommand(name, command, argv) : { name, command, argv };
  if (!found) return groupHelp(name, command as GroupShape<C>);
  const { values, positionals } = parse(found.command, found.name, found.argv, global);
  if (values.help) return commandHelp(found.name, found.command, global);
  return { name: found.name, command: found.command, options: values, arguments: positionals };
}

/** The command of a group that the first argument names; undefined when the caller asks which there are. */
function findCommand<C extends CommandShape>(
  name: string,
  group: GroupShape<C>,
  argv: readonly string[],
): { name: string; command: C; argv: readonly string[] } | undefined {
  const [first, ...rest] = argv;
  if (first === undefined || first === '-h' || first === '--help' || first === 'help') return undefined;
  const command = Object.hasOwn(group.commands, first) ? group.commands[first] : undefined;
  if (command) return { name: `${name} ${first}`, command, argv: rest };
  throw new Refusal(`unknown command '${name} ${first}'\n\n${groupHelp(name, group)}`, { exitCode: 2 });
}

function parse(
  command: CommandShape,
  name: string,
  argv: readonly string[],
  global: Options,
): { values: OptionValues; positionals: string[] } {
  try {
    const options: ParseArgsOptionsConfig = {};
    for (const [key, definition] of Object.entries({ ...command.options, ...global })) {
      const { type, short, multiple, default: preset } = definition;
      options[key] = {
        type,
        ...(short && { short }),
        ...(multiple && { multiple }),
        ...(preset !== undefined && { default: preset }),
      };
    }
    const { values, positionals } = parseArgs({ args: [...argv], allowPositionals: true, options });
    if (!values.help) checkCount(command.arguments ?? [], positionals);
    return { values: values as OptionValues, positionals };
  } catch (error) {
    const message = messageOf(error).split('. ')[0]!;
    throw new Refusal(`${name}: ${message}\n\n${commandHelp(name, command, global)}`, {
      exitCode: 2,
      cause: error,
    });
  }
}

function checkCount(names: readonly string[], given: readonly string[]): void {
  const missing = names.filter((name) => !name.startsWith('['))[given.length];
  if (missing !== undefined) throw new Error(`${missing} is missing`);
  const surplus = given[names.length];
  if (surplus !== undefined && !names.at(-1)?.endsWith('...]')) {
    throw new Error(`unexpected argument '${surplus}'`);
  }
}
