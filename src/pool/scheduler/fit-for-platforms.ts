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
  const known = new Map<string, number>();
  const fits = workers.map((worker) => {
    const kind = `${worker.platforms} ${worker.emulates ?? ''}`;
    const fit = known.get(kind) ?? fitOf(worker, wanted);
    known.set(kind, fit);
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

function read(text: string): Platform | undefined {
  try {
    return parsePlatform(text);
  } catch (error) {
    if (isKind(error, 'invalid')) return undefined;
    throw error;
  }
}
