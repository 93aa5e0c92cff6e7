import { digestOf } from '#oci/digest.ts';
import type { FilePool } from '../files/file-pool.ts';
import type { DiffOp } from '../llb/op.ts';
import type { Vertex } from '../llb/vertex.ts';
import type { CacheMap, OpContext, OpDriver } from '../solve/op-driver.ts';
import { EMPTY, type LayersRef, type Ref } from '../solve/ref.ts';
import { type RequireOptions, requiring } from './layers.ts';
import type { RefViews } from './ref-views.ts';
import type { Workspaces } from './workspaces.ts';

/** What one file system has changed compared with another: its topmost layers, where it stands on the other. */
export class DiffDriver implements OpDriver<DiffOp> {
  readonly #ports: { readonly workspaces: Workspaces; readonly views: RefViews; readonly files: FilePool };

  constructor(ports: { workspaces: Workspaces; views: RefViews; files: FilePool }) {
    this.#ports = ports;
  }

  async cacheMap({ op, inputs }: Vertex<DiffOp>): Promise<CacheMap> {
    const shape = ['diff', op.lower ?? null, op.upper ?? null];
    return { digest: digestOf(JSON.stringify(shape)), inputs: inputs.map(() => ({})) };
  }

  async run(vertex: Vertex<DiffOp>, inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]> {
    const { op } = vertex;
    const lower = op.lower === undefined ? EMPTY : inputs[op.lower]!;
    const upper = op.upper === undefined ? EMPTY : inputs[op.upper]!;
    const above = lower.kind === 'layers' && upper.kind === 'layers' ? layersAbove(lower, upper) : undefined;
    return [above ?? (await this.#compare(lower, upper, requiring(vertex, context)))];
  }

  async #compare(lower: Ref, upper: Ref, options: RequireOptions): Promise<Ref> {
    const { workspaces, views, files } = this.#ports;
    await using below = await views.open(lower, options);
    await using above = await views.open(upper, options);
    await using workspace = await workspaces.open(EMPTY, { ...options, mounted: false });
    const request = { lower: below.root, upper: above.root, target: workspace.root };
    await files.run('difference', request, options);
    return await workspace.commit();
  }
}

/** undefined when `upper` does not stand on `lower`. */
function layersAbove(lower: LayersRef, upper: LayersRef): LayersRef | undefined {
  const stands = lower.layers.every(({ diffId }, at) => upper.layers[at]?.diffId === diffId);
  return stands ? { kind: 'layers', layers: upper.layers.slice(lower.layers.length) } : undefined;
}
