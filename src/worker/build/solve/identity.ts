import { chainId } from '#oci/chain-id.ts';
import { digestOf } from '#oci/digest.ts';
import { canonicalJson } from '../llb/canonical-json.ts';
import type { Ref } from './ref.ts';

/** Raise it when drivers come to other outcomes than before from the same op. */
const VERSION = 1;

/** What a ref is, wherever it came from. */
export function identityOf(ref: Ref): string {
  if (ref.kind === 'directory') return `directory:${ref.id}`;
  return ref.layers.length === 0 ? 'empty' : chainId(ref.layers.map((layer) => layer.diffId));
}

/**
 * A key that a step can be found by. `definition`: inputs are named by their own definition keys; `content`: by what
 * they came to, or by what the step reads of it.
 */
export function cacheKey(scheme: 'definition' | 'content', op: string, inputs: readonly string[]): string {
  return digestOf(canonicalJson([VERSION, scheme, op, inputs]));
}
