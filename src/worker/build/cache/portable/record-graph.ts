import type { Digest } from '#oci/digest.ts';
import type { LayersRef } from '../../solve/ref.ts';
import type { CacheConfig, CacheInput, CacheLayer, CacheRecordEntry } from './cache-config.ts';
import { recordKey } from './portable-keys.ts';

/** A vertex of a graph, as a cache is exported of it. */
export interface ExportedStep {
  /** What it is called; several for one that is known by several names. */
  readonly digests: readonly Digest[];
  /** By input: what is looked at of it. */
  readonly selectors: readonly (Digest | undefined)[];
  readonly inputs: readonly { readonly step: ExportedStep; readonly output: number }[];
  /** By input: what stands for what is read of it, where that is known. */
  readonly contents: ReadonlyMap<number, ReadonlySet<Digest>>;
  /** How many outcomes it has. */
  readonly outputs: number;
  /** Those that are known. */
  readonly outcomes: readonly LayersRef[];
}

/** How an outcome is written down; undefined: it is not. */
export type WrittenResult = Pick<CacheRecordEntry, 'layers' | 'chains'>;
export type WriteResult = (outcome: LayersRef) => WrittenResult | undefined;

const NOTHING: WrittenResult = { layers: [], chains: [] };

/**
 * The records of a graph, inputs first: each links to the records that its inputs may be. What stands on something that
 * has no name (a client's directory of which nothing was read) has no record.
 */
export function recordsOf(steps: readonly ExportedStep[], write: WriteResult): CacheConfig['records'] {
  const records: CacheRecordEntry[] = [];
  const places = new Map<ExportedStep, number[][]>();
  const contents = new Map<Digest, number>();
  const push = (digest: Digest, inputs: CacheInput[][], result: WrittenResult): number =>
    records.push({ digest, inputs, ...result }) - 1;
  const contentPlace = (key: Digest): number => {
    const known = contents.get(key) ?? push(key, [], NOTHING);
    contents.set(key, known);
    return known;
  };
  for (const step of steps) {
    const inputs = step.inputs.map((input, at): CacheInput[] => {
      const selector = step.selectors[at] ?? '';
      const links = (places.get(input.step)?.[input.output] ?? []).map((link) => ({ link, selector }));
      const keys = [...(step.contents.get(at) ?? [])].sort();
      return [...links, ...keys.map((key) => ({ link: contentPlace(key), selector: '' }))];
    });
    const named = inputs.every((links) => links.length > 0);
    const own = Array.from({ length: step.outputs }, (_, output): number[] => {
      const outcome = step.outcomes[output];
      const result = (outcome && write(outcome)) ?? NOTHING;
      return named ? step.digests.map((digest) => push(recordKey(digest, output), inputs, result)) : [];
    });
    places.set(step, own);
  }
  return records;
}

/** The layers of a cache, each on the one below it, in the order in which they are first needed. */
export class LayerGraph {
  readonly layers: CacheLayer[] = [];
  readonly #places = new Map<string, number>();

  /** Blobs of an outcome, bottom first; answers where the topmost is. */
  place(blobs: readonly Digest[]): number {
    let parent = -1;
    for (const blob of blobs) {
      const key = `${parent} ${blob}`;
      const known = this.#places.get(key) ?? this.layers.push({ blob, parent }) - 1;
      this.#places.set(key, known);
      parent = known;
    }
    return parent;
  }
}
