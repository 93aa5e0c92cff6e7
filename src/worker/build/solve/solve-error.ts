import { SlipwayError } from '#errors/errors.ts';
import { SourceError } from '../llb/source-error.ts';
import type { Vertex } from '../llb/vertex.ts';

/** Why a vertex could not be solved; kind and message are the cause's. */
export class SolveError extends SourceError {
  readonly vertex: Vertex;

  constructor(cause: SlipwayError, vertex: Vertex) {
    const { source, otherSources = [] } = vertex.metadata;
    // Clients show what was said last as the innermost.
    super(cause, [...(source ? [source] : []), ...otherSources].reverse());
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
