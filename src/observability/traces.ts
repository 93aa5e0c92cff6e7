import type { TraceRelay } from './otlp-relay.ts';
import type { Tracer } from './tracer.ts';

/** What is traced here, and by those who ask for something, on its way to one collector. */
export interface Traces {
  readonly tracer: Tracer;
  readonly relay: TraceRelay;
}
