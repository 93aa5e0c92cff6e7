import type { Digest } from '#oci/digest.ts';
import type { CacheRecord, CacheStore } from '../cache/cache-store.ts';
import { isImported } from '../cache/portable/imported-cache.ts';
import { importedContents, outputsOf, portableDigests } from '../cache/portable/imported-steps.ts';
import { contentKey } from '../cache/portable/portable-keys.ts';
import type { ExportedStep } from '../cache/portable/record-graph.ts';
import { contentsOf, type ImportLookups } from './import-lookups.ts';
import type { Holdable } from './lease.ts';
import type { CacheMap } from './op-driver.ts';
import type { LayersRef, Ref } from './ref.ts';
import type { VertexNode } from './vertex-node.ts';

export interface GraphExportParts {
  readonly cache: CacheStore;
  readonly imports: ImportLookups;
  readonly signal: AbortSignal;
  map(node: VertexNode): Promise<CacheMap>;
  definition(node: VertexNode): Promise<string>;
  /** The digest of what a vertex reads of an input, if it reads less than all. */
  content(node: VertexNode, at: number, ref: Ref): Promise<string | undefined>;
  keep(lease: Holdable): void;
}

/**
 * A graph that was solved, as a cache is exported of it: inputs first. Nothing is done for it; of what nobody asked for,
 * outcomes are those that the cache has. `wanted`: whether an outcome is worth being loaded.
 */
export async function graphExport(
  nodes: readonly VertexNode[],
  parts: GraphExportParts,
  wanted: (outputs: readonly LayersRef[]) => boolean,
): Promise<ExportedStep[]> {
  const outcomes = await outcomesOf(nodes, parts, wanted);
  const steps = new Map<VertexNode, ExportedStep>();
  for (const node of nodes) {
    const { digests, selectors } = portableDigests(node.vertex, await parts.map(node));
    steps.set(node, {
      digests,
      selectors,
      inputs: node.inputs.map((input) => ({ step: steps.get(input.node)!, output: input.output })),
      contents: await contentKeysOf(node, outcomes, parts),
      outputs: outputsOf(node.vertex),
      outcomes: outcomes.get(node) ?? [],
    });
  }
  return [...steps.values()];
}

/** Of inputs that are here; nothing is brought to look at it. */
async function contentKeysOf(
  node: VertexNode,
  outcomes: ReadonlyMap<VertexNode, readonly LayersRef[]>,
  parts: GraphExportParts,
): Promise<ReadonlyMap<number, ReadonlySet<Digest>>> {
  const keys = importedContents(node);
  const known = new Map(await contentsOf(node));
  for (const [at, input] of node.inputs.entries()) {
    const ref = outcomes.get(input.node)?.[input.output];
    const isHere = ref?.layers.every(({ remote }) => remote === undefined);
    const digest = known.get(at) ?? (ref && isHere ? await parts.content(node, at, ref) : undefined);
    if (digest !== undefined) keys.set(at, new Set(keys.get(at)).add(contentKey(digest)));
  }
  return keys;
}

async function outcomesOf(
  nodes: readonly VertexNode[],
  parts: GraphExportParts,
  wanted: (outputs: readonly LayersRef[]) => boolean,
): Promise<Map<VertexNode, readonly LayersRef[]>> {
  const outcomes = new Map<VertexNode, readonly LayersRef[]>();
  const records = new Map<VertexNode, CacheRecord>();
  const unknown = new Map<string, VertexNode>();
  for (const node of nodes) {
    // Roots are found where they are, not in a cache.
    if (node.vertex.op.kind === 'source') continue;
    if (node.realized) {
      const { refs } = await node.realized;
      if (refs.every((ref) => ref.kind === 'layers')) outcomes.set(node, refs);
    } else if (node.found) {
      const found = await node.found;
      if ('record' in found) records.set(node, found.record);
    } else unknown.set(await parts.definition(node), node);
  }
  const found = await parts.cache.find([...unknown.keys()], parts);
  for (const [key, node] of unknown) {
    const record = found.get(key) ?? (await parts.imports.find(node));
    if (record) records.set(node, record);
  }
  for (const [node, record] of records) {
    const isHere = record.outputs.every(({ layers }) => layers.every(({ remote }) => remote === undefined));
    if (!isHere && !wanted(record.outputs)) continue;
    const refs = await loaded(record, parts);
    if (refs) outcomes.set(node, refs);
  }
  return outcomes;
}

async function loaded(
  record: CacheRecord,
  parts: GraphExportParts,
): Promise<readonly LayersRef[] | undefined> {
  if (isImported(record)) return (await record.cache.load(record, parts)) ? record.outputs : undefined;
  const known = await parts.cache.load(record, parts);
  if (!known) return undefined;
  parts.keep(known.lease);
  return known.refs.every((ref) => ref.kind === 'layers') ? known.refs : undefined;
}
