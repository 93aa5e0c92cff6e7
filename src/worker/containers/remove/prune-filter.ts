import { invalid } from '#errors/errors.ts';
import type { ContainerRecord } from '../container.ts';
import { matchesLabels } from '../list/label-filter.ts';
import { parseMoment } from '../list/moment.ts';

export type PruneFilter = (record: ContainerRecord) => boolean;

/** `until`, `label` and `label!`. Throws `invalid`. */
export function parsePruneFilter(filters: ReadonlyMap<string, readonly string[]>): PruneFilter {
  for (const name of filters.keys()) {
    if (!['until', 'label', 'label!'].includes(name)) throw invalid(`invalid filter '${name}'`);
  }
  const until = filters.get('until') ?? [];
  if (until.length > 1) throw invalid('more than one until filter specified');
  const before = until[0] === undefined ? Number.POSITIVE_INFINITY : parseMoment(until[0]);
  const labels = filters.get('label') ?? [];
  const unwanted = filters.get('label!') ?? [];
  return ({ createdAt, config }) =>
    Date.parse(createdAt) < before &&
    matchesLabels(config.Labels, labels) &&
    (unwanted.length === 0 || !matchesLabels(config.Labels, unwanted));
}
