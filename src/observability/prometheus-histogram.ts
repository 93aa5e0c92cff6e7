import { Labelled } from './labelled.ts';
import type { Histogram, MetricOptions } from './metrics.ts';

interface Observed {
  /** How many values were at most each bucket's bound and above the one before; the last ones above all. */
  readonly counts: Float64Array;
  sum: number;
}

/**
 * A histogram that costs a look-up and two additions, in the form in which prom-client's registry takes its own: those
 * hash and copy the labels for every value, which is more than what is measured with it.
 */
export class PrometheusHistogram<L extends string> implements Histogram<L> {
  readonly name: string;
  readonly #help: string;
  readonly #buckets: readonly number[];
  readonly #observed: Labelled<L, Observed>;

  constructor({ name, help, labels = [], buckets }: MetricOptions<L> & { buckets: readonly number[] }) {
    this.name = name;
    this.#help = help;
    this.#buckets = buckets;
    this.#observed = new Labelled(labels, () => ({ counts: new Float64Array(buckets.length + 1), sum: 0 }));
  }

  observe(labels: Readonly<Record<L, string>>, value: number): void {
    const observed = this.#observed.of(labels);
    let bucket = 0;
    while (bucket < this.#buckets.length && value > this.#buckets[bucket]!) bucket++;
    observed.counts[bucket]! += 1;
    observed.sum += value;
  }

  /** As prom-client's registry reads it. */
  async get() {
    const values = [];
    for (const { labels, value: observed } of this.#observed.all()) {
      let count = 0;
      for (const [index, bound] of [...this.#buckets, '+Inf'].entries()) {
        count += observed.counts[index]!;
        values.push({ metricName: `${this.name}_bucket`, labels: { le: bound, ...labels }, value: count });
      }
      values.push({ metricName: `${this.name}_sum`, labels, value: observed.sum });
      values.push({ metricName: `${this.name}_count`, labels, value: count });
    }
    return { name: this.name, help: this.#help, type: 'histogram', values, aggregator: 'sum' };
  }
}
