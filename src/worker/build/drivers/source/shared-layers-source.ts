import { invalid, unsupported } from '#errors/errors.ts';
import { chainIds } from '#oci/chain-id.ts';
import { digestOf } from '#oci/digest.ts';
import type { StoredLayer } from '../../cache/record-manifest.ts';
import { readLayers, writeLayers } from '../../cache/stored-layers.ts';
import type { Op, SourceOp } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';
import type { CacheMap } from '../../solve/op-driver.ts';
import { EMPTY, type LayersRef, type Ref } from '../../solve/ref.ts';
import { locationOf, type Source } from './source-driver.ts';

const SCHEME = 'slipway-layers';
const LAYERS = 'slipway.layers';
const NONE = 'none';

/** Layers that another worker has brought to the shared cache, as what a step of its build stands on. */
export function sharedLayers(layers: readonly StoredLayer[]): SourceOp {
  const top = chainIds(layers.map(({ diffId }) => diffId)).at(-1) ?? NONE;
  return { kind: 'source', identifier: `${SCHEME}://${top}`, attrs: { [LAYERS]: writeLayers(layers) } };
}

/** Whether an op is one that `sharedLayers` has made. */
export function isSharedLayers(op: Op): boolean {
  return op.kind === 'source' && op.identifier.startsWith(`${SCHEME}://`);
}

/** What other workers of the pool name as `sharedLayers`. They are lazy, and are verified when they are read. */
export class SharedLayersSource implements Source {
  readonly schemes = [SCHEME];
  readonly #shared: { ref(layers: readonly StoredLayer[]): LayersRef } | undefined;

  /** undefined: no cache is shared. */
  constructor(shared: { ref(layers: readonly StoredLayer[]): LayersRef } | undefined) {
    this.#shared = shared;
  }

  async cacheMap(vertex: Vertex<SourceOp>): Promise<CacheMap> {
    this.#read(vertex);
    // Who asks for the same files may name other blobs for them, rightly or not: nobody gets those of somebody else.
    return { digest: `${SCHEME}:${digestOf(vertex.op.attrs[LAYERS] ?? '')}`, inputs: [] };
  }

  async run(vertex: Vertex<SourceOp>): Promise<Ref> {
    return this.#read(vertex);
  }

  #read(vertex: Vertex<SourceOp>): LayersRef {
    if (!this.#shared) throw unsupported('this worker shares no cache with others');
    const layers = readLayers(vertex.op.attrs[LAYERS] ?? '');
    const top = chainIds(layers.map(({ diffId }) => diffId)).at(-1) ?? NONE;
    if (top !== locationOf(vertex)) throw invalid('layers that are not what they are said to be');
    return layers.length === 0 ? EMPTY : this.#shared.ref(layers);
  }
}
