import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { loadConfig } from '#config/load.ts';
import { messageOf, SlipwayError } from '#errors/errors.ts';
import { loadContentStorage } from '../content-storage.ts';
import { Refusal } from '../refusal.ts';
import { enterRegistryDirectory } from '../registry-directory.ts';
import { type Command, type CommandGroup, type Invocation, isGroup } from './command.ts';
import { commandHelp, groupHelp } from './help.ts';
import { Output } from './output.ts';

/** Options that every one of these commands has. */
const GLOBAL = {
  config: { type: 'string', value: 'FILE', description: 'Settings, as for the registry' },
  set: { type: 'string', multiple: true, value: 'KEY=VALUE', description: 'One setting; repeatable' },
  json: { type: 'boolean', description: 'Answer in JSON' },
  help: { type: 'boolean', short: 'h', description: 'Print this' },
} as const satisfies Command['options'];

/**
 * Runs a command that works on the registry's storage, whether or not a registry serves it meanwhile: `argv` is what
 * follows its name. Started as root it becomes the registry's account first, so that whatever it creates is that
 * account's. Resolves to the exit code; throws `Refusal`.
 */
export async function runAdminCommand(
  name: string,
  command: Command | CommandGroup,
  argv: readonly string[],
): Promise<number> {
  const found = isGroup(command) ? findCommand(name, command, argv) : { name, command, argv };
  if (!found) return say(groupHelp(name, command as CommandGroup));
  const { values, positionals } = parse(found.command, found.name, found.argv);
  if (values.help) return say(commandHelp(found.name, found.command, GLOBAL));
  const { config: file, set, json, help, ...options } = values;
  const config = loadConfig({ file: file as string | undefined, set: set as string[] | undefined });
  await loadContentStorage(config);
  enterRegistryDirectory(config);
  const output = new Output({ json: json === true, write: (text) => process.stdout.write(text) });
  try {
    await found.command.run({ config, options, arguments: positionals, output });
    return 0;
  } catch (error) {
    if (error instanceof SlipwayError) throw new Refusal(error.message, { cause: error });
    throw error;
  }
}

/** The command of a group that the first argument names; undefined when the caller asks which there are. */
function findCommand(
  name: string,
  group: CommandGroup,
  argv: readonly string[],
): { name: string; command: Command; argv: readonly string[] } | undefined {
  const [first, ...rest] = argv;
  if (first === undefined || first === '-h' || first === '--help' || first === 'help') return undefined;
  const command = Object.hasOwn(group.commands, first) ? group.commands[first] : undefined;
  if (command) return { name: `${name} ${first}`, command, argv: rest };
  throw new Refusal(`unknown command '${name} ${first}'\n\n${groupHelp(name, group)}`, { exitCode: 2 });
}

function parse(
  command: Command,
  name: string,
  argv: readonly string[],
): { values: Invocation['options']; positionals: string[] } {
  try {
    const options: ParseArgsOptionsConfig = {};
    for (const [key, { type, short, multiple, default: preset }] of Object.entries({
      ...command.options,
      ...GLOBAL,
    } as NonNullable<Command['options']>)) {
      options[key] = {
        type,
        ...(short && { short }),
        ...(multiple && { multiple }),
        ...(preset !== undefined && { default: preset }),
      };
    }
    const { values, positionals } = parseArgs({ args: [...argv], allowPositionals: true, options });
    if (!values.help) checkCount(command.arguments ?? [], positionals);
    return { values: values as Invocation['options'], positionals };
  } catch (error) {
    const message = messageOf(error).split('. ')[0]!;
    throw new Refusal(`${name}: ${message}\n\n${commandHelp(name, command, GLOBAL)}`, {
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

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}
