import { chainIds } from '#oci/chain-id.ts';
import type { Digest } from '#oci/digest.ts';
import type { LayersRef } from '../../solve/ref.ts';
import { writeInlineRecords } from './cache-config.ts';
import { type ExportedStep, recordsOf } from './record-graph.ts';
import { chainOf } from './result-layers.ts';

/**
 * The cache of an image in its own configuration: outcomes are the image's lower layers, by the number of the topmost.
 * undefined when it would say nothing of any of them.
 */
export function inlineCache(steps: readonly ExportedStep[], image: readonly Digest[]): Buffer | undefined {
  const places = new Map<string, number>(chainIds(image).map((chain, at) => [chain, at]));
  let used = false;
  const records = recordsOf(steps, (outcome: LayersRef) => {
    const layer = places.get(chainOf(outcome));
    if (layer === undefined) return undefined;
    used = true;
    const createdAt = outcome.layers.at(-1)?.createdAt?.toISOString() ?? '0001-01-01T00:00:00Z';
    return { layers: [{ layer, createdAt }], chains: [] };
  });
  return used ? writeInlineRecords(records) : undefined;
}
