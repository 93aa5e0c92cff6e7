import { chainIds } from '#oci/chain-id.ts';
import type { Digest } from '#oci/digest.ts';
import type { ExportedLayer } from '../../export/layer-export.ts';
import type { LayersRef, Ref } from '../../solve/ref.ts';

/** What names an outcome's layers; '' for none. */
export function chainOf({ layers }: LayersRef): Digest | '' {
  return chainIds(layers.map(({ diffId }) => diffId)).at(-1) ?? '';
}

/** The layers of what a build came to, and of steps on the way there. */
export class ResultLayers {
  readonly #chains: ReadonlySet<string>;

  constructor(results: readonly (Ref | undefined)[]) {
    const stacks = results.flatMap((ref) =>
      ref?.kind === 'layers' ? [chainIds(ref.layers.map(({ diffId }) => diffId))] : [],
    );
    this.#chains = new Set(stacks.flat());
  }

  /** Whether all layers of an outcome are the lowest of a result's. */
  covers(outcome: LayersRef): boolean {
    return this.#chains.has(chainOf(outcome));
  }

  /**
   * The blobs of outcomes by their chain ID. Each stack of layers that no other one stands on is made blobs of once.
   */
  async exported(
    outcomes: readonly LayersRef[],
    layersOf: (ref: LayersRef) => Promise<ExportedLayer[]>,
  ): Promise<Map<string, readonly ExportedLayer[]>> {
    const below = new Set<string>();
    const distinct = new Map(outcomes.map((outcome) => [chainOf(outcome), outcome]));
    for (const { layers } of distinct.values()) {
      for (const chain of chainIds(layers.map(({ diffId }) => diffId)).slice(0, -1)) below.add(chain);
    }
    const exported = new Map<string, readonly ExportedLayer[]>();
    for (const [chain, outcome] of distinct) {
      if (below.has(chain)) continue;
      const layers = await layersOf(outcome);
      for (const [at, part] of chainIds(outcome.layers.map(({ diffId }) => diffId)).entries()) {
        if (distinct.has(part)) exported.set(part, layers.slice(0, at + 1));
      }
    }
    return exported;
  }
}
