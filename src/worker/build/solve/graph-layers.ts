import type { OutcomeLayer } from '../attest/graph-metadata.ts';
import type { CacheRecord, CacheStore } from '../cache/cache-store.ts';
import type { Ref } from './ref.ts';
import type { VertexNode } from './vertex-node.ts';

/**
 * The layers of each vertex's outcomes, by its digest: what the build itself has found, else what the cache knows. Nothing
 * is done or loaded for it, so that an image below a step that was in the cache is not among them.
 */
export async function graphLayers(
  nodes: readonly VertexNode[],
  parts: {
    readonly cache: CacheStore;
    readonly signal: AbortSignal;
    definition(node: VertexNode): Promise<string>;
  },
): Promise<Map<string, readonly (readonly OutcomeLayer[])[]>> {
  const layers = new Map<string, readonly (readonly OutcomeLayer[])[]>();
  const unknown = new Map<string, VertexNode>();
  for (const node of nodes) {
    const refs = await foundBy(node);
    if (refs) layers.set(node.vertex.digest, refs.map(layersIn));
    else if (node.vertex.op.kind !== 'source') unknown.set(await parts.definition(node), node);
  }
  const records: ReadonlyMap<string, CacheRecord> =
    unknown.size > 0 ? await parts.cache.find([...unknown.keys()], parts) : new Map();
  for (const [key, { vertex }] of unknown) {
    const record = records.get(key);
    if (record) layers.set(vertex.digest, record.outputs.map(layersIn));
  }
  return layers;
}

async function foundBy(node: VertexNode): Promise<readonly Ref[] | undefined> {
  if (node.realized) return (await node.realized).refs;
  const found = await node.found;
  return found && ('record' in found ? found.record.outputs : found.realized.refs);
}

function layersIn(ref: Ref): OutcomeLayer[] {
  if (ref.kind !== 'layers') return [];
  return ref.layers.map(({ diffId, remote }) => ({ diffId, ...(remote && { blob: remote.descriptor }) }));
}
