import type { Logger } from 'pino';
import { type ErrorKind, SlipwayError } from '#errors/errors.ts';

/** What each error kind is in the Engine API. */
const STATUS: Readonly<Record<ErrorKind, number>> = {
  'not-modified': 304,
  precondition: 412,
  timeout: 408,
  invalid: 400,
  range: 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'too-large': 413,
  'too-many': 429,
  canceled: 499,
  unsupported: 501,
  unavailable: 500,
};

/**
 * The status and body of a thrown value: `{ message }`. Anything but a `SlipwayError` is a bug: its stack goes
 * to the log, and the body names the request so that the two can be brought together.
 */
export function errorResponse(
  error: unknown,
  requestId: string,
  log: Logger,
): { status: number; message: string } {
  if (error instanceof SlipwayError) return { status: STATUS[error.kind], message: error.message };
  log.error({ err: error, requestId }, 'request failed unexpectedly');
  const reason = error instanceof Error ? error.message : String(error);
  return { status: 500, message: `${reason} (request ${requestId})` };
}
