import type { ParseArgsOptionDescriptor } from 'node:util';
import type { ClientEnvironment } from '#config/client-environment.ts';
import type { Config } from '#config/schema.ts';
import type { Output } from './output.ts';

/** An option of a command, as `parseArgs` reads it, and what the help says of it. */
export interface OptionDefinition extends ParseArgsOptionDescriptor {
  readonly description: string;
  /** What the help calls the value: `NAME`. Without it, there is none. */
  readonly value?: string;
}

/** The values of a command's options. */
export type OptionValues = Readonly<
  Record<string, string | boolean | readonly (string | boolean)[] | undefined>
>;

export interface Invocation {
  readonly config: Config;
  readonly options: OptionValues;
  readonly arguments: readonly string[];
  readonly output: Output;
}

/** What a command takes. */
export interface CommandShape {
  readonly summary: string;
  /** The names of its arguments: `NAME`, `[NAME]` for one that may be left out, `[NAME...]` for any number. */
  readonly arguments?: readonly string[];
  readonly options?: Readonly<Record<string, OptionDefinition>>;
}

/** Commands about one thing. */
export interface GroupShape<C extends CommandShape> {
  readonly summary: string;
  readonly commands: Readonly<Record<string, C>>;
}

/** One thing to do on the registry's data, such as `slipway user add NAME`. */
export interface Command extends CommandShape {
  /**
   * Does it, and says what came of it through the output. Throws `Refusal`, or an error kind, for what the caller has
   * to mend or what has to give another exit code than 0.
   */
  run(invocation: Invocation): Promise<void>;
}

/** `slipway user add`, `slipway user list`. */
export type CommandGroup = GroupShape<Command>;

/** What a command that talks to a worker is given. */
export interface ClientInvocation {
  readonly environment: ClientEnvironment;
  readonly options: OptionValues;
  readonly arguments: readonly string[];
  readonly output: Output;
  /** Aborts when the caller has had enough. */
  readonly signal: AbortSignal;
}

/** One thing to ask a worker for. */
export interface ClientCommand extends CommandShape {
  /** As `Command.run`. */
  run(invocation: ClientInvocation): Promise<void>;
}

export function isGroup<C extends CommandShape>(command: C | GroupShape<C>): command is GroupShape<C> {
  return 'commands' in command;
}
