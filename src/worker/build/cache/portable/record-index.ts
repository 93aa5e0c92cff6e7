import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, isDigest } from '#oci/digest.ts';
import type { BlobFetcher, LayersRef, RefLayer } from '../../solve/ref.ts';
import type { CacheConfig } from './cache-config.ts';

/** Of a layer's descriptor: what its bytes are, uncompressed. */
export const DIFF_ID = 'containerd.io/uncompressed';
export const CREATED_AT = 'buildkit/createdat';

/** More is no image. */
const MAX_LAYERS = 1000;

/**
 * The records of one imported cache, to be followed from the sources up. Whatever its links say, they are followed as
 * the graph of a build goes, so that loops and dead ends lead nowhere.
 */
export class RecordIndex {
  readonly #config: CacheConfig;
  readonly #layers: ReadonlyMap<Digest, Descriptor>;
  readonly #fetcher: BlobFetcher;
  readonly #roots = new Map<Digest, number[]>();
  readonly #above = new Map<string, number[]>();

  /** `layers`: by digest; others than these are nobody's outcome. */
  constructor(config: CacheConfig, layers: ReadonlyMap<Digest, Descriptor>, fetcher: BlobFetcher) {
    this.#config = config;
    this.#layers = layers;
    this.#fetcher = fetcher;
    for (const [at, { digest, inputs }] of config.records.entries()) {
      if (inputs.length === 0) add(this.#roots, digest, at);
      for (const [input, links] of inputs.entries()) {
        for (const { link, selector } of links) add(this.#above, keyOf(link, input, selector, digest), at);
      }
    }
  }

  /** Records that stand on nothing. */
  roots(key: Digest): readonly number[] {
    return this.#roots.get(key) ?? [];
  }

  /** Records of `key` that have `record` as their input of this number. */
  above(record: number, input: number, selector: string, key: Digest): readonly number[] {
    return this.#above.get(keyOf(record, input, selector, key)) ?? [];
  }

  /** Of each input of a record, the records that stand on nothing and that all of is looked at: contents, and sources. */
  below(record: number): (readonly { readonly record: number; readonly key: Digest }[])[] {
    const { inputs = [] } = this.#config.records[record] ?? {};
    return inputs.map((links) =>
      links.flatMap(({ link, selector }) => {
        const target = this.#config.records[link];
        return selector === '' && target?.inputs.length === 0 ? [{ record: link, key: target.digest }] : [];
      }),
    );
  }

  /** What a record came to, if that can be had. */
  outcome(record: number): LayersRef | undefined {
    const { layers = [], chains = [] } = this.#config.records[record] ?? {};
    for (const { layer } of layers) {
      const ref = this.#ref(this.#stack(layer));
      if (ref) return ref;
    }
    for (const chain of chains) {
      const ref = this.#ref(chain.layers);
      if (ref) return ref;
    }
    return undefined;
  }

  /** Positions, bottom first. */
  #stack(top: number): number[] {
    const stack: number[] = [];
    for (let at = top; at !== -1; at = this.#config.layers[at]?.parent ?? -1) {
      if (stack.length > MAX_LAYERS) return [];
      stack.push(at);
    }
    return stack.reverse();
  }

  #ref(positions: readonly number[]): LayersRef | undefined {
    if (positions.length === 0 || positions.length > MAX_LAYERS) return undefined;
    const layers: RefLayer[] = [];
    for (const at of positions) {
      const blob = this.#config.layers[at]?.blob;
      const descriptor = blob && this.#layers.get(blob);
      const diffId = descriptor?.annotations?.[DIFF_ID];
      if (!descriptor || diffId === undefined || !isDigest(diffId)) return undefined;
      const { mediaType, digest, size, annotations } = descriptor;
      const created = new Date(annotations?.[CREATED_AT] ?? Number.NaN);
      layers.push({
        diffId,
        remote: { descriptor: { mediaType, digest, size }, fetcher: this.#fetcher },
        ...(!Number.isNaN(created.getTime()) && { createdAt: created }),
      });
    }
    return { kind: 'layers', layers };
  }
}

function keyOf(record: number, input: number, selector: string, key: Digest): string {
  return `${record} ${input} ${selector} ${key}`;
}

function add<K>(map: Map<K, number[]>, key: K, value: number): void {
  const values = map.get(key);
  if (!values) map.set(key, [value]);
  else if (values.at(-1) !== value) values.push(value);
}
