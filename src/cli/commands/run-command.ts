import { loadConfig } from '#config/load.ts';
import { SlipwayError } from '#errors/errors.ts';
import { Refusal } from '../refusal.ts';
import { enterRegistryDirectory } from '../registry/directory.ts';
import { loadContentStorage } from '../storage/content-storage.ts';
import type { Command, CommandGroup } from './command.ts';
import { Output } from './output.ts';
import { parseInvocation } from './parse-invocation.ts';

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
 * account's; `enter: false` for commands on other storage. Resolves to the exit code; throws `Refusal`.
 */
export async function runAdminCommand(
  name: string,
  command: Command | CommandGroup,
  argv: readonly string[],
  { enter = true }: { enter?: boolean } = {},
): Promise<number> {
  const parsed = parseInvocation(name, command, argv, GLOBAL);
  if (typeof parsed === 'string') {
    process.stdout.write(parsed);
    return 0;
  }
  const { config: file, set, json, help, ...options } = parsed.options;
  const config = loadConfig({ file: file as string | undefined, set: set as string[] | undefined });
  if (enter) {
    await loadContentStorage(config);
    enterRegistryDirectory(config);
  }
  const output = new Output({ json: json === true, write: (text) => process.stdout.write(text) });
  try {
    await parsed.command.run({ config, options, arguments: parsed.arguments, output });
    return 0;
  } catch (error) {
    if (error instanceof SlipwayError) throw new Refusal(error.message, { cause: error });
    throw error;
  }
}
