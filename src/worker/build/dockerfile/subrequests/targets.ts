import type { Dockerfile } from '../parser.ts';
import { locationOf } from './location.ts';
import { type SubrequestResult, subrequestResult, TARGETS } from './subrequest.ts';
import { formatTable } from './table.ts';

/** `docker build --call=targets`: the stages of a Dockerfile. `source` is the file. */
export function targetsResult({ stages }: Dockerfile, source: Uint8Array): SubrequestResult {
  const targets = stages.map(({ from }, at) => ({
    ...(from.stage !== undefined && { name: from.stage }),
    ...(at === stages.length - 1 && { default: true }),
    ...(from.description && { description: from.description }),
    base: from.image,
    ...(from.platform !== undefined && { platform: from.platform }),
    location: locationOf(from.range),
  }));
  const json = { targets, sources: [Buffer.from(source).toString('base64')] };
  const rows = targets.map(({ name, default: isDefault, description = '' }) => [
    isDefault ? [name, '(default)'].filter((word) => word !== undefined).join(' ') : (name ?? ''),
    description,
  ]);
  return subrequestResult(TARGETS, json, formatTable([['TARGET', 'DESCRIPTION'], ...rows], 1));
}
