import { digestOf } from '#oci/digest.ts';
import type { Op } from '../graph/op.ts';
import { type Result, snapshotOf } from '../graph/result.ts';

/** A key over an op and what its inputs are; `undefined` inputs count for nothing. */
export function contentKey(op: Op, inputs: readonly (Result | string | undefined)[]): string {
  return `content:${digestOf(JSON.stringify([op, inputs.map(identityOf)]))}`;
}

function identityOf(input: Result | string | undefined): string | null {
  if (input === undefined || typeof input === 'string') return input ?? null;
  return input.kind === 'layers' ? (snapshotOf(input) ?? 'scratch') : null;
}
