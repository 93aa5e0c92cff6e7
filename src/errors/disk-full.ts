import { SlipwayError, unavailable } from './errors.ts';

/** The system's words, also as threads hand them on, and SQLite's. */
const FULL = /\b(?:ENOSPC|EDQUOT): |database or disk is full/;

/** A full disk as its user can understand it, without paths of the machine; anything else as it is. */
export function orDiskFull(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof SlipwayError || !FULL.test(error.message)) return error;
  return unavailable('no space left on device', { cause: error });
}

/** Whether that is what it comes from. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && (FULL.test(error.message) || isDiskFull(error.cause));
}
