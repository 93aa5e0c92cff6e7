import { invalid } from '#errors/errors.ts';

/** The latest that Go's and JavaScript's times agree on how to write. */
const MAX_SECONDS = 253_402_300_799;

/** SOURCE_DATE_EPOCH: seconds since 1970; nothing for none. Throws `invalid`. */
export function readEpoch(text: string | undefined): Date | undefined {
  if (!text) return undefined;
  if (!/^[+-]?\d{1,15}$/.test(text) || Math.abs(Number(text)) > MAX_SECONDS) {
    throw invalid(`invalid SOURCE_DATE_EPOCH: ${text}`);
  }
  return new Date(Number(text) * 1000);
}
