import { tooLarge } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import type { MergeOp } from '../llb/op.ts';
import type { Vertex } from '../llb/vertex.ts';
import { oneOff } from '../solve/one-off.ts';
import type { CacheMap, OpContext, OpDriver } from '../solve/op-driver.ts';
import type { LayersRef, Ref } from '../solve/ref.ts';
import type { Workspaces } from './workspaces.ts';

/** Merges of merges of themselves would soon have more than there is memory for. */
const MAX_LAYERS = 10_000;

/** Stacks its inputs' layers: no file is touched, and what is lazy stays so. */
export class MergeDriver implements OpDriver<MergeOp> {
  readonly #workspaces: Workspaces;

  constructor(ports: { workspaces: Workspaces }) {
    this.#workspaces = ports.workspaces;
  }

  async cacheMap(vertex: Vertex<MergeOp>): Promise<CacheMap> {
    return { digest: digestOf('merge'), inputs: vertex.inputs.map(() => ({})) };
  }

  async run(vertex: Vertex<MergeOp>, inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]> {
    const told = { vertex: vertex.digest, sink: context.progress };
    const stacks = await oneOff(told, 'merging', () =>
      Promise.all(inputs.map((input) => this.#layersOf(input, context))),
    );
    const count = stacks.reduce((sum, { layers }) => sum + layers.length, 0);
    if (count > MAX_LAYERS) throw tooLarge(`a merge of ${count} layers (${MAX_LAYERS} are the limit)`);
    return [{ kind: 'layers', layers: stacks.flatMap(({ layers }) => layers) }];
  }

  async #layersOf(ref: Ref, context: OpContext): Promise<LayersRef> {
    return ref.kind === 'layers' ? ref : this.#workspaces.import(ref, context);
  }
}
