import type { CommandLine } from './instructions.ts';
import type { Statement } from './statement.ts';

/** RUN's, CMD's and ENTRYPOINT's arguments: a JSON array is the exec form, all else the shell form. */
export function commandLine({ args, json }: Statement): CommandLine {
  return { form: json ? 'exec' : 'shell', words: args };
}
