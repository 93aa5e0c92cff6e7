import { SlipwayError } from '#errors/errors.ts';
import type { Instruction } from '../dockerfile/instructions.ts';
import { BuildFailure } from '../drivers/build-failure.ts';

/** A build that failed, in the classic builder's words. */
export class ClassicFailure extends SlipwayError {
  /** Of the command that failed; the CLI makes its own exit code of it. */
  readonly exitCode: number | undefined;

  constructor(message: string, options: { exitCode?: number; cause: unknown }) {
    super('invalid', message, { cause: options.cause });
    this.name = 'ClassicFailure';
    this.exitCode = options.exitCode;
  }
}

/** Why an instruction failed. Bugs and cancels stay what they are. */
export function classicFailure(error: unknown, instruction: Instruction): unknown {
  if (!(error instanceof SlipwayError) || error.kind === 'canceled') return error;
  const command = [error, error.cause].find((one) => one instanceof BuildFailure);
  if (command) {
    return new ClassicFailure(command.classicMessage, { exitCode: command.exitCode, cause: error });
  }
  if (instruction.name !== 'COPY' && instruction.name !== 'ADD') return error;
  const message = error.message.replace(/^failed to (?:compute|load) cache key: /, '');
  const missing = MISSING.exec(message)?.slice(1).find(Boolean);
  const why = missing === undefined ? message : notThere(missing, instruction.from);
  return new ClassicFailure(`${instruction.name} failed: ${why}`, { cause: error });
}

/** How it is told that there is nothing to take a digest of, or to copy. */
const MISSING =
  /^failed to calculate checksum of ref \S+: "\/?(.*)": not found$|^lstat \/?(.*): no such file or directory$/s;

function notThere(path: string, from: string | undefined): string {
  const where = from === undefined ? 'file not found in build context or excluded by .dockerignore: ' : '';
  return `${where}stat ${path}: file does not exist`;
}
