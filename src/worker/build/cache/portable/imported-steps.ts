import type { Digest } from '#oci/digest.ts';
import type { Vertex } from '../../llb/vertex.ts';
import type { CacheMap } from '../../solve/op-driver.ts';
import { EMPTY, type LayersRef } from '../../solve/ref.ts';
import type { ImportedCache, ImportedRecord } from './imported-cache.ts';
import { portableMap } from './op-digest.ts';
import { contentKey, recordKey } from './portable-keys.ts';
import type { RecordIndex } from './record-index.ts';

/** A vertex as imported caches are asked for it. */
export interface ImportedStep {
  readonly vertex: Vertex;
  readonly inputs: readonly { readonly node: ImportedStep; readonly output: number }[];
  /** The outputs that somebody asks for. */
  readonly demanded: ReadonlySet<number>;
  /** The records that it is, by index and output. Grows while more of its inputs' contents become known. */
  places?: Map<RecordIndex, Map<number, ReadonlySet<number>>>;
}

/** What is known of a step's inputs: the digest of what it reads of an input, by the input's number. */
export type KnownContents = ReadonlyMap<number, string>;

/** Where the vertices of one build are in the caches that it was told of. Results play no part in finding that out. */
export class ImportedSteps {
  readonly #caches: ImportedCache[] = [];

  get active(): boolean {
    return this.#caches.length > 0;
  }

  add(cache: ImportedCache): void {
    this.#caches.push(cache);
  }

  /** Finds out which records the step is; its inputs' have been found out before. */
  async place(step: ImportedStep, map: CacheMap, contents: KnownContents): Promise<void> {
    const places: NonNullable<ImportedStep['places']> = new Map();
    // What is not to be looked up leaves what stands on it without records too.
    if (!step.vertex.metadata.ignoreCache) {
      const keys = portableDigests(step.vertex, map);
      for (const index of (await Promise.all(this.#caches.map((cache) => cache.indexes()))).flat()) {
        const found = new Map<number, ReadonlySet<number>>();
        for (let output = 0; output < outputsOf(step.vertex); output++) {
          const records = keys.digests.flatMap((digest) => [
            ...placesIn(index, step, recordKey(digest, output), keys.selectors, contents),
          ]);
          found.set(output, new Set(records));
        }
        places.set(index, found);
      }
    }
    step.places = places;
  }

  /** A record of all outcomes that somebody asks for of a step that was placed. */
  async find({ places, vertex, demanded }: ImportedStep): Promise<ImportedRecord | undefined> {
    if (vertex.op.kind === 'source') return undefined;
    for (const cache of this.#caches) {
      for (const index of await cache.indexes()) {
        const outputs = [...(places?.get(index) ?? [])].map(
          ([output, records]) => outcomeIn(index, records) ?? (demanded.has(output) ? undefined : EMPTY),
        );
        if (outputs.length === 0 || outputs.includes(undefined)) continue;
        const record = cache.record(outputs as LayersRef[]);
        if (record) return record;
      }
    }
    return undefined;
  }
}

/** What stands for what a step reads of its inputs, by input, as the records that it is say. */
export function importedContents({ places, inputs }: ImportedStep): Map<number, Set<Digest>> {
  const contents = new Map<number, Set<Digest>>();
  for (const [index, outputs] of places ?? []) {
    for (const record of [...outputs.values()].flatMap((records) => [...records])) {
      for (const [at, targets] of index.below(record).entries()) {
        const input = inputs[at];
        const own = input?.node.places?.get(index)?.get(input.output);
        const keys = targets.filter((target) => !own?.has(target.record)).map(({ key }) => key);
        if (keys.length > 0) contents.set(at, (contents.get(at) ?? new Set()).union(new Set(keys)));
      }
    }
  }
  return contents;
}

/** What a vertex is called in records, and what it looks at of its inputs; without digests, nothing. */
export function portableDigests(
  vertex: Vertex,
  { portable = [] }: CacheMap,
): { readonly digests: readonly Digest[]; readonly selectors: readonly (Digest | undefined)[] } {
  const map = portableMap(vertex);
  return map ? { digests: [map.digest], selectors: map.selectors } : { digests: portable, selectors: [] };
}

/** How many outcomes a vertex has. */
export function outputsOf({ op }: Vertex): number {
  switch (op.kind) {
    case 'exec':
      return countOf(op.mounts);
    case 'file':
      return countOf(op.actions);
    default:
      return 1;
  }
}

function countOf(parts: readonly { readonly output?: number }[]): number {
  return Math.max(0, ...parts.map(({ output = -1 }) => output + 1));
}

function placesIn(
  index: RecordIndex,
  step: ImportedStep,
  key: Digest,
  selectors: readonly (Digest | undefined)[],
  contents: KnownContents,
): Iterable<number> {
  if (step.inputs.length === 0) return index.roots(key);
  let places: Set<number> | undefined;
  for (const [at, { node, output }] of step.inputs.entries()) {
    const found = new Set<number>();
    const take = (records: Iterable<number>, selector: string) => {
      for (const record of records) for (const one of index.above(record, at, selector, key)) found.add(one);
    };
    take(node.places?.get(index)?.get(output) ?? [], selectors[at] ?? '');
    const content = contents.get(at);
    if (content !== undefined) take(index.roots(contentKey(content)), '');
    places = places ? places.intersection(found) : found;
    if (places.size === 0) break;
  }
  return places ?? [];
}

function outcomeIn(index: RecordIndex, records: Iterable<number>): LayersRef | undefined {
  for (const record of records) {
    const outcome = index.outcome(record);
    if (outcome) return outcome;
  }
  return undefined;
}
