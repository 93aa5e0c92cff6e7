import { digestOf } from '#oci/digest.ts';
import { canonicalJson } from '../llb/canonical-json.ts';
import type { PassthroughOp } from '../llb/op.ts';
import type { Vertex } from '../llb/vertex.ts';
import type { CacheMap, OpDriver } from '../solve/op-driver.ts';
import type { Ref } from '../solve/ref.ts';

/** Hands on some of its inputs once all of them are there. */
export class PassthroughDriver implements OpDriver<PassthroughOp> {
  async cacheMap({ op, inputs }: Vertex<PassthroughOp>): Promise<CacheMap> {
    return { digest: digestOf(canonicalJson(op)), inputs: inputs.map(() => ({})) };
  }

  async run({ op }: Vertex<PassthroughOp>, inputs: readonly Ref[]): Promise<readonly Ref[]> {
    return op.outputs.map((input) => inputs[input]!);
  }
}
