import { invalid } from '#errors/errors.ts';
import type { Bridge } from './frontend.ts';
import type { MainContext } from './inputs/main-context.ts';

/** The latest that Go's and JavaScript's times agree on how to write. */
const MAX_SECONDS = 253_402_300_799;

/**
 * SOURCE_DATE_EPOCH: seconds since 1970, or `context`, the time of the build's context: a commit's, or when a download
 * was last changed. undefined: there is none. Throws `invalid`.
 */
export async function resolveEpoch(
  text: string,
  context: MainContext,
  bridge: Pick<Bridge, 'solve' | 'readDirectory'>,
): Promise<Date | undefined> {
  if (text === '') return undefined;
  if (text === 'context') return contextTime(context, bridge);
  if (!/^[+-]?\d{1,15}$/.test(text) || Math.abs(Number(text)) > MAX_SECONDS) {
    throw invalid(`invalid SOURCE_DATE_EPOCH: ${text}`);
  }
  return new Date(Number(text) * 1000);
}

/** All files of a checkout have the time of its commit. */
async function contextTime(
  context: MainContext,
  bridge: Pick<Bridge, 'solve' | 'readDirectory'>,
): Promise<Date | undefined> {
  const edge = context.remoteSource;
  if (!edge) return undefined;
  const entries = await bridge.readDirectory(await bridge.solve(edge), '/');
  const times = entries
    .map(({ modTime }) => Number(modTime / 1_000_000_000n))
    .filter((seconds) => seconds > 0);
  return times.length === 0 ? undefined : new Date(Math.max(...times) * 1000);
}
