import type { CacheRecord } from '../cache/cache-store.ts';
import type { StepTraces } from './node-keys.ts';
import type { CacheMap } from './op-driver.ts';
import type { VertexNode } from './vertex-node.ts';

/** Why a step was not found in the cache, for people, as far as the cache knows steps like it. */
export async function whyMissed(
  { vertex, inputs }: VertexNode,
  map: CacheMap,
  { grounds, op }: StepTraces,
  find: (keys: readonly string[]) => Promise<ReadonlyMap<string, CacheRecord>>,
): Promise<string> {
  if (vertex.metadata.ignoreCache) return 'the cache was not to be used';
  const known = await find([grounds, op]);
  if (!known.has(op)) return 'not done before';
  const nodes = inputs.map(({ node }) => node);
  const whole = nodes.filter((_node, at) => !map.inputs[at]?.contentDigest);
  const partly = nodes.filter((_node, at) => map.inputs[at]?.contentDigest);
  const changed = known.has(grounds) ? partly : whole;
  const renewed = changed.find((node) => node.ran);
  if (renewed) return `${nameOf(renewed)} came to something else`;
  const what = known.has(grounds) ? 'content changed' : 'changed';
  return `${what}: ${changed.map(nameOf).join(', ')}`;
}

function nameOf({ vertex }: VertexNode): string {
  return vertex.metadata.name;
}
