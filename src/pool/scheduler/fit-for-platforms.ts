import { isKind } from '#errors/errors.ts';
import { type Platform, parsePlatform, platformMatches } from '#oci/platform.ts';

/** What programs a worker runs, as it says itself. */
export interface Runs {
  /** `linux/amd64`: what its processor runs. */
  readonly platforms: readonly string[];
  /** What it runs besides, slowly. */
  readonly emulates?: readonly string[] | undefined;
}

/** How well workers run all the platforms that are asked for; the larger, the better. */
const NATIVE = 2;
const EMULATED = 1;
const UNABLE = 0;

/** Of those who run them best: natively if there is one, else by emulation. None where nobody runs them all. */
export function fitForPlatforms<W extends Runs>(workers: readonly W[], wanted: readonly string[]): W[] {
  if (wanted.length === 0) return [...workers];
  // A thousand workers are of a few kinds.
  const ofKinds = new Map<string, number>();
  const fits = workers.map((worker) => {
    const kind = `${worker.platforms} ${worker.emulates ?? ''}`;
    const fit = ofKinds.get(kind) ?? fitOf(worker, wanted);
    ofKinds.set(kind, fit);
    return fit;
  });
  const best = Math.max(UNABLE, ...fits);
  return best === UNABLE ? [] : workers.filter((_worker, at) => fits[at] === best);
}

/** Whether a processor of one of these platforms runs what is for `wanted`. */
export function runsNatively(platforms: readonly string[], wanted: string): boolean {
  const platform = read(wanted);
  if (!platform) return platforms.includes(wanted);
  return platforms.map(read).some((each) => each !== undefined && platformMatches(platform, each));
}

function fitOf({ platforms, emulates = [] }: Runs, wanted: readonly string[]): number {
  const fits = wanted.map((one) => {
    if (runsNatively(platforms, one)) return NATIVE;
    return runsNatively(emulates, one) ? EMULATED : UNABLE;
  });
  return Math.min(NATIVE, ...fits);
}

/** Of platforms as workers and clients write them, which are few: it is asked for each worker and job. */
const known = new Map<string, Platform | undefined>();
const MAX_KNOWN = 1_000;

function read(text: string): Platform | undefined {
  if (known.has(text)) return known.get(text);
  if (known.size >= MAX_KNOWN) known.clear();
  const platform = parsed(text);
  known.set(text, platform);
  return platform;
}

function parsed(text: string): Platform | undefined {
  try {
    return parsePlatform(text);
  } catch (error) {
    if (isKind(error, 'invalid')) return undefined;
    throw error;
  }
}
