import { z } from 'zod';
import { messageOf } from '#errors/errors.ts';
import type { Platform } from '#oci/platform.ts';
import { resultPlatforms } from '../export/result-platforms.ts';
import type { FrontendResult } from '../frontend/frontend.ts';
import { platformId, readPlatform } from '../frontend/platforms.ts';

/** Where clients with a frontend of their own say what it was asked for. */
const REQUEST = 'verifier.requestopts';
const requestSchema = z.object({ Platforms: z.array(z.string()).nullish() });

/**
 * What is to be said where a result is not of the platforms that were asked for, in BuildKit's words. `asked`: `a,b`, where
 * the result does not say.
 */
export function platformWarnings(asked: string, result: FrontendResult): string[] {
  const written = askedPlatforms(result) ?? asked.split(',').filter(Boolean);
  const made = madePlatforms(result);
  if (written.length === 0 || made.length === 0) return [];
  const warnings: string[] = [];
  const wanted = new Map<string, Platform>();
  for (const text of written) {
    try {
      const platform = readPlatform(text);
      const id = platformId(platform);
      if (wanted.has(id)) warnings.push(`Duplicate platform result requested ${JSON.stringify(text)}`);
      wanted.set(id, platform);
    } catch (error) {
      warnings.push(`Invalid platform result requested ${JSON.stringify(text)}: ${messageOf(error)}`);
    }
  }
  if (warnings.length > 0) return warnings;
  const [only, ...more] = made;
  if (wanted.size === 1 && only && more.length === 0) {
    const [platform] = wanted.values();
    // A version that the image has by itself is no other platform.
    const { 'os.version': version, ...bare } = only;
    const same = platform!['os.version'] ? only : bare;
    if (wanted.has(platformId(same))) return [];
    const [quoted, shown] = [JSON.stringify(written[0]), JSON.stringify(platformId(only))];
    return [`Requested platform ${quoted} does not match result platform ${shown}`];
  }
  if (result.refs.has('')) return ['Multiple platforms requested but result is not multi-platform'];
  const ids = made.map(platformId);
  if (ids.length === wanted.size && ids.every((id) => wanted.has(id))) return [];
  const [requested, results] = [[...wanted.keys()].join(','), ids.join(',')];
  return [`Requested platforms ${requested} do not match result platforms ${results}`];
}

function askedPlatforms({ metadata }: FrontendResult): string[] | undefined {
  try {
    const request = JSON.parse(Buffer.from(metadata.get(REQUEST) ?? []).toString('utf8'));
    return requestSchema.parse(request).Platforms ?? undefined;
  } catch {
    return undefined;
  }
}

/** None where there is nothing, or where an exporter is to say what is wrong with it. */
function madePlatforms({ refs, metadata }: FrontendResult): Platform[] {
  if (![...refs.values()].some(Boolean)) return [];
  try {
    const known = new Map([...refs.keys()].map((id) => [id, undefined]));
    return resultPlatforms({ refs: known, metadata }).map(({ platform }) => platform);
  } catch {
    return [];
  }
}
