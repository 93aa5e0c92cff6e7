import { AsyncLocalStorage } from 'node:async_hooks';
import type { Tracer } from '#observability/tracer.ts';
import type { ProgressSink, VertexEvent } from '../solve/progress.ts';

/**
 * Has each step that is over in the trace that its build was asked for in, whichever build it was that did it. Make it
 * where the build begins.
 */
export class TracedProgress implements ProgressSink {
  readonly #tracer: Tracer;
  readonly #inTrace = AsyncLocalStorage.snapshot();

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  vertex({ digest, name, started, completed, cached, error }: VertexEvent): void {
    if (!started || !completed) return;
    const attributes = { vertex: digest, cached, ...(error !== undefined && { error }) };
    const milliseconds = completed.getTime() - started.getTime();
    this.#inTrace(() => this.#tracer.ended(name, milliseconds, attributes));
  }

  status(): void {}
  async log(): Promise<void> {}
  warning(): void {}
}
