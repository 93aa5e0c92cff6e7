import type { CommandLine } from './instructions.ts';
import { jsonStrings } from './words.ts';

/** RUN's, CMD's and ENTRYPOINT's arguments: a JSON array is the exec form, all else the shell form. */
export function commandLine(text: string): CommandLine {
  const exec = jsonStrings(text);
  return exec ? { form: 'exec', words: exec } : { form: 'shell', words: text === '' ? [] : [text] };
}
