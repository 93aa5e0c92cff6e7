import { SlipwayError } from '#errors/errors.ts';

/** What is wrong with a Dockerfile, in the words of the docker CLI's users; `line` counts from 1. */
export class DockerfileError extends SlipwayError {
  readonly line: number | undefined;

  constructor(message: string, line?: number) {
    super('invalid', line === undefined ? message : `dockerfile parse error line ${line}: ${message}`);
    this.name = 'DockerfileError';
    this.line = line;
  }
}

/** Runs a part of the parser that does not know where it is, and names the line in what it throws. */
export function atLine<T>(line: number, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof DockerfileError && error.line === undefined) {
      throw new DockerfileError(error.message, line);
    }
    throw error;
  }
}
