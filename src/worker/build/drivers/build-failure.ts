import { SlipwayError } from '#errors/errors.ts';
import { goQuote } from '../dockerfile/go-quote.ts';

/** A command that ended with something other than 0; clients make their own exit code of it. */
export class BuildFailure extends SlipwayError {
  readonly args: readonly string[];
  /** 128 + n for signal n. */
  readonly exitCode: number;

  constructor(args: readonly string[], exitCode: number, options: { outOfMemory: boolean }) {
    const why = options.outOfMemory ? 'cannot allocate memory' : `exit code: ${exitCode}`;
    super('invalid', `process ${goQuote(args.join(' '))} did not complete successfully: ${why}`);
    this.name = 'BuildFailure';
    this.args = args;
    this.exitCode = exitCode;
  }

  /** The same in the classic builder's words. */
  get classicMessage(): string {
    return `The command '${this.args.join(' ')}' returned a non-zero code: ${this.exitCode}`;
  }
}
