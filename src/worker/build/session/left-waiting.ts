import { type SlipwayError, unavailable } from '#errors/errors.ts';

/** A client is connected, and does not do what its build needs. */
export function leftWaiting(milliseconds: number): SlipwayError {
  return unavailable(`the client has left the build waiting for ${milliseconds / 1_000} seconds`);
}
