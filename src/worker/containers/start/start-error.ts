import { messageOf, SlipwayError } from '#errors/errors.ts';

/** Why a container did not start, and the exit code that `docker run` derives from it. */
export interface StartFailure {
  readonly error: SlipwayError;
  readonly exitCode: number;
}

const CANNOT_INVOKE = 126;
const NOT_FOUND = 127;
const UNKNOWN = 128;

/**
 * Puts a runtime's refusal into Docker's words. The CLI matches them: "permission denied" makes it exit with
 * 126, "no such file or directory" and "executable file not found" with 127.
 */
export function startFailure(error: unknown): StartFailure {
  if (error instanceof SlipwayError && error.kind !== 'invalid') return { error, exitCode: UNKNOWN };
  const message = messageOf(error);
  const lower = message.toLowerCase();
  const failure = (exitCode: number, text = message): StartFailure => ({
    error: new SlipwayError('invalid', text, { cause: error }),
    exitCode,
  });
  if (lower.includes('permission denied')) return failure(CANNOT_INVOKE);
  if (lower.includes('is a directory')) return failure(CANNOT_INVOKE, `${message}: permission denied`);
  if (lower.includes('not a directory')) {
    const hint =
      'Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type';
    return failure(NOT_FOUND, `${message}: ${hint}`);
  }
  if (lower.includes('executable file not found') || lower.includes('no such file or directory')) {
    return failure(NOT_FOUND);
  }
  if (error instanceof SlipwayError) return failure(UNKNOWN);
  return { error: new SlipwayError('unavailable', message, { cause: error }), exitCode: UNKNOWN };
}

/** What Docker's chain of components puts around the runtime's own words. */
export function runtimeWords(error: unknown): unknown {
  if (!(error instanceof SlipwayError) || error.kind !== 'invalid') return error;
  const prefix =
    'failed to create task for container: failed to create shim task: OCI runtime create failed: ';
  if (error.message.startsWith('failed to create task')) return error;
  const words = error.message.startsWith('runc create failed')
    ? error.message
    : `runc create failed: ${error.message}`;
  return new SlipwayError('invalid', `${prefix}${words}: unknown`, { cause: error });
}
