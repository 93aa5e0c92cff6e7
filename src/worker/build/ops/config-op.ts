import type { ConfigOp } from '../graph/op.ts';
import type { OpResult, OpRunner } from '../graph/op-runner.ts';
import { layersOf, type Result } from '../graph/result.ts';
import { contentKey } from './content-key.ts';

/** Changes no file; it is a vertex so that its date is remembered, and with it the image's ID. */
export class ConfigOpRunner implements OpRunner<ConfigOp> {
  async *contentKeys(op: ConfigOp, inputs: readonly Result[]): AsyncGenerator<string> {
    yield contentKey(op, inputs);
  }

  async run(_op: ConfigOp, inputs: readonly Result[]): Promise<OpResult> {
    return { result: layersOf(inputs[0]) };
  }
}
