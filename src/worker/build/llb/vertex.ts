import { type Digest, digestOf } from '#oci/digest.ts';
import type { Platform } from '#oci/platform.ts';
import type { SpecResources } from '#worker/runtime/spec/spec-request.ts';
import { canonicalJson } from './canonical-json.ts';
import type { Op } from './op.ts';
import type { SourceRange } from './source-info.ts';

/** A node of a build's graph. Immutable; equal vertices have equal digests, in whichever build. */
export interface Vertex<O extends Op = Op> {
  readonly op: O;
  readonly inputs: readonly Edge[];
  /** What it is meant for; undefined where it makes no difference. */
  readonly platform?: Platform;
  readonly digest: Digest;
  readonly metadata: VertexMetadata;
}

/** One outcome of a vertex. A graph is named by the edge that it leads to. */
export interface Edge {
  readonly vertex: Vertex;
  readonly output: number;
}

/** About a vertex, and no part of what it is: not in its digest. */
export interface VertexMetadata {
  /** As progress shows it: `[build 2/5] RUN make`. */
  readonly name: string;
  /** Look nothing up for it. */
  readonly ignoreCache?: boolean;
  /** What it may use, in place of what its build says. */
  readonly resources?: SpecResources;
  readonly progressGroup?: { readonly id: string; readonly name: string; readonly weak: boolean };
  /** Where in a Dockerfile it comes from. */
  readonly source?: SourceRange;
  /** Where else, if its client says so. */
  readonly otherSources?: readonly SourceRange[];
}

export function vertex<O extends Op>(
  op: O,
  inputs: readonly Edge[],
  options: { readonly platform?: Platform; readonly metadata: VertexMetadata },
): Vertex<O> {
  const { platform, metadata } = options;
  const named = inputs.map((input) => [input.vertex.digest, input.output]);
  const digest = digestOf(canonicalJson([op, named, platform ?? null]));
  return { op, inputs, ...(platform && { platform }), digest, metadata };
}
