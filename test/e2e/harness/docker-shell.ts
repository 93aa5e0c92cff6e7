import type { CommandOptions, CommandResult } from './command.ts';
import { commandLine } from './command-line.ts';
import type { Slipway } from './slipway.ts';

/** Docker commands as one types them: words, blanks and single quotes. */
export interface DockerShell {
  /** Its exit code and what it wrote. */
  run(line: string, options?: CommandOptions): Promise<CommandResult>;
  /** What it wrote, without the closing newline. It has to succeed. */
  ok(line: string): Promise<string>;
}

export function dockerShell(slipway: Slipway): DockerShell {
  return {
    run: (line, options) => slipway.docker(commandLine(line), options),
    ok: (line) => slipway.dockerOk(...commandLine(line)),
  };
}

/** The engine's complaint as `docker run` and `docker create` print it. */
export function runRefusal(message: string): string {
  return `docker: Error response from daemon: ${message}\n\nRun 'docker run --help' for more information\n`;
}

/** The engine's complaint as all other commands print it. */
export function refusal(message: string): string {
  return `Error response from daemon: ${message}\n`;
}
