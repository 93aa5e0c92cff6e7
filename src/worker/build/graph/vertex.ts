import { randomUUID } from 'node:crypto';
import { digestOf } from '#oci/digest.ts';
import type { Op } from './op.ts';

/** A node of a build's graph: an op and the vertices whose results it works on. Immutable. */
export interface Vertex<O extends Op = Op> {
  readonly op: O;
  readonly inputs: readonly Vertex[];
  /** Definition key: the same for the same op on the same inputs, whatever their contents are. */
  readonly key: string;
  /** Whether the definition says it all: not so where a context or a download is among what it stands on. */
  readonly defined: boolean;
}

export function vertex<O extends Op>(op: O, inputs: readonly Vertex[] = []): Vertex<O> {
  const open = op.kind === 'source' && (op.source.type === 'context' || op.source.type === 'http');
  const defined = !open && inputs.every((input) => input.defined);
  const key = defined ? digestOf(JSON.stringify([op, inputs.map((input) => input.key)])) : randomUUID();
  return { op, inputs, key, defined };
}
