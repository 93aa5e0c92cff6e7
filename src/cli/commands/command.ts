import type { ParseArgsOptionDescriptor } from 'node:util';
import type { Config } from '#config/schema.ts';
import type { Output } from './output.ts';

/** An option of a command, as `parseArgs` reads it, and what the help says of it. */
export interface OptionDefinition extends ParseArgsOptionDescriptor {
  readonly description: string;
  /** What the help calls the value: `NAME`. Without it, there is none. */
  readonly value?: string;
}

export interface Invocation {
  readonly config: Config;
  /** The values of the command's options. */
  readonly options: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;
  readonly arguments: readonly string[];
  readonly output: Output;
}

/** One thing to do, such as `slipway user add NAME`. */
export interface Command {
  readonly summary: string;
  /** The names of its arguments: `NAME`, `[NAME]` for one that may be left out, `[NAME...]` for any number. */
  readonly arguments?: readonly string[];
  readonly options?: Readonly<Record<string, OptionDefinition>>;
  /**
   * Does it, and says what came of it through the output. Throws `Refusal`, or an error kind, for what the caller has
   * to mend or what has to give another exit code than 0.
   */
  run(invocation: Invocation): Promise<void>;
}

/** Commands about one thing: `slipway user add`, `slipway user list`. */
export interface CommandGroup {
  readonly summary: string;
  readonly commands: Readonly<Record<string, Command>>;
}

export function isGroup(command: Command | CommandGroup): command is CommandGroup {
  return 'commands' in command;
}
