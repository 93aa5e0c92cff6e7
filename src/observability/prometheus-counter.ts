import { Labelled } from './labelled.ts';
import type { Counter, MetricOptions } from './metrics.ts';

/** A counter, in the form in which prom-client's registry takes its own (see `PrometheusHistogram`). */
export class PrometheusCounter<L extends string> implements Counter<L> {
  readonly name: string;
  readonly #help: string;
  readonly #sums: Labelled<L, { sum: number }>;

  constructor({ name, help, labels = [] }: MetricOptions<L>) {
    this.name = name;
    this.#help = help;
    this.#sums = new Labelled(labels, () => ({ sum: 0 }));
  }

  add(labels: Readonly<Record<L, string>>, amount = 1): void {
    this.#sums.of(labels).sum += amount;
  }

  /** As prom-client's registry reads it. */
  async get() {
    const values = Array.from(this.#sums.all(), ({ labels, value }) => ({ labels, value: value.sum }));
    return { name: this.name, help: this.#help, type: 'counter', values, aggregator: 'sum' };
  }
}
