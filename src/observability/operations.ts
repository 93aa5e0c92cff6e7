import { type Histogram, type Metrics, SECONDS } from './metrics.ts';
import type { Tracer } from './tracer.ts';

export interface OperationsPorts {
  readonly metrics: Metrics;
  readonly tracer: Tracer;
}

/** Calls of something that Slipway stands on, measured and traced. */
export class Operations {
  readonly #system: string;
  readonly #tracer: Tracer;
  readonly #duration: Histogram<'operation' | 'outcome'>;

  /** `system` is what is called, as the metric's name has it: `content`, `database`. */
  constructor(system: string, { metrics, tracer }: OperationsPorts) {
    this.#system = system;
    this.#tracer = tracer;
    this.#duration = metrics.histogram({
      name: `slipway_${system}_operation_duration_seconds`,
      help: `How long operations on the ${system} take.`,
      labels: ['operation', 'outcome'],
      buckets: SECONDS,
    });
  }

  /** Runs an operation that is a span of its own. */
  run<T>(operation: string, task: () => Promise<T>): Promise<T> {
    return this.#tracer.span(`${this.#system} ${operation}`, {}, () => this.measure(operation, task));
  }

  /** Runs one of many small ones. */
  async measure<T>(operation: string, task: () => Promise<T>): Promise<T> {
    const started = performance.now();
    let outcome = 'failed';
    try {
      const result = await task();
      outcome = 'done';
      return result;
    } finally {
      this.#duration.observe({ operation, outcome }, (performance.now() - started) / 1000);
    }
  }

  /** Takes in one that has just ended. */
  ended(operation: string, milliseconds: number, outcome: 'done' | 'failed'): void {
    this.#duration.observe({ operation, outcome }, milliseconds / 1000);
    this.#tracer.ended(`${this.#system} ${operation}`, milliseconds, { outcome });
  }
}
