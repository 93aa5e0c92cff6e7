import type { Edge } from '../llb/vertex.ts';

/** A graph in the words of those who read provenance: BuildKit's `pb.Op`s, as its JSON has them. */
export interface ToldGraph {
  /** In an order in which they can be done; the last one is no step, but points at the outcome. */
  readonly steps: readonly ToldStep[];
  /** Steps by the digests that clients know them by. */
  readonly digestMapping: Readonly<Record<string, string>>;
  /** Steps by the digests of vertices. */
  readonly ids: ReadonlyMap<string, string>;
}

export interface ToldStep {
  /** `step0` */
  readonly id: string;
  readonly op: object;
  /** `step0:0`: the first outcome of the first step. */
  readonly inputs?: readonly string[];
}

/** undefined: there are no words for it, as for steps that only the classic builder has. */
export type TellGraph = (edge: Edge) => ToldGraph | undefined;
