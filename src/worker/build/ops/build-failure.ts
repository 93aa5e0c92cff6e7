import { SlipwayError } from '#errors/errors.ts';

/** A RUN that ended with something other than 0; the CLI makes its own exit code of it. */
export class BuildFailure extends SlipwayError {
  readonly exitCode: number;

  constructor(args: readonly string[], exitCode: number) {
    super('invalid', `The command '${args.join(' ')}' returned a non-zero code: ${exitCode}`);
    this.name = 'BuildFailure';
    this.exitCode = exitCode;
  }
}
