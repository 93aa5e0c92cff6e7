import { SlipwayError } from '#errors/errors.ts';
import { SourceError } from '../llb/source-error.ts';
import type { Vertex } from '../llb/vertex.ts';

/** Why a vertex could not be solved; kind and message are the cause's. */
export class SolveError extends SourceError {
  readonly vertex: Vertex;

  constructor(cause: SlipwayError, vertex: Vertex) {
    super(cause, vertex.metadata.source ? [vertex.metadata.source] : []);
    this.name = 'SolveError';
    this.vertex = vertex;
  }
}

/** Names the vertex that an error is of, unless that is known already. Bugs and cancels stay what they are. */
export function blame(error: unknown, vertex: Vertex): unknown {
  if (!(error instanceof SlipwayError) || error instanceof SolveError || error.kind === 'canceled')
    return error;
  return new SolveError(error, vertex);
}
