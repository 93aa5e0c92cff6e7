import type { Vertex } from '../llb/vertex.ts';

/** A step that was not found in the cache. */
export interface MissedStep {
  readonly vertex: Vertex;
  /** What its outcome is to be found by: of its op, and of what its inputs have come to. */
  readonly key: string;
  /** Of its op alone. */
  readonly op: string;
  readonly inputs: readonly MissedInput[];
}

/** What one of its inputs is to it. */
export interface MissedInput {
  readonly vertex: Vertex;
  /** What of it counts: the digest of those of its contents that are read, or which layers it has. */
  readonly key: string;
  readonly byContent: boolean;
  /** It was done in this build. */
  readonly ran: boolean;
  /** Of a source, what it was found to be. */
  readonly resolved: string | undefined;
}

/** Hears what has to be done in a build. */
export interface MissListener {
  missed(step: MissedStep): void;
  /** It is done, and kept. */
  done(vertex: Vertex): void;
}
