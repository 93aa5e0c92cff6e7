import type { Platform } from '#oci/platform.ts';
import type { SourceOp } from '../llb/op.ts';
import type { SourceMeta, WantedMeta } from './source-meta.ts';

/** A client that decides on each source of its build itself. */
export interface PolicyVerifier {
  /** What it says of a source, given what it has been told of it so far. */
  check(question: PolicyQuestion, options: { signal: AbortSignal }): Promise<PolicyAnswer>;
}

export interface PolicyQuestion {
  readonly platform: Platform | undefined;
  readonly meta: SourceMeta;
}

export type PolicyAnswer =
  | { readonly kind: 'allow' }
  /** `action`: the decision in its own words. */
  | { readonly kind: 'deny'; readonly action: string; readonly messages: readonly string[] }
  | { readonly kind: 'convert'; readonly source: SourceOp }
  /** It wants to know more first. */
  | { readonly kind: 'more'; readonly request: SourceQuestion };

export interface SourceQuestion {
  readonly source: SourceOp;
  readonly platform: Platform | undefined;
  /** What progress shows. */
  readonly name?: string;
  readonly wanted: WantedMeta;
}
