import * as prometheus from 'prom-client';
import { unlessGivenUp } from '#async/unless-given-up.ts';
import type { Counter, GaugeValue, Histogram, MetricOptions, Metrics, ReadGauge } from './metrics.ts';
import { PrometheusCounter } from './prometheus-counter.ts';
import { PrometheusHistogram } from './prometheus-histogram.ts';

/** How long a gauge may take to be read. */
const PATIENCE = 2_000;

/** Metrics in Prometheus' text format, with those of the process and of Node beside our own. */
export class PrometheusMetrics implements Metrics {
  readonly #registry = new prometheus.Registry();
  readonly contentType = this.#registry.contentType;

  constructor(options: { process: boolean }) {
    if (options.process) prometheus.collectDefaultMetrics({ register: this.#registry });
  }

  counter<L extends string = never>(options: MetricOptions<L>): Counter<L> {
    return this.#registered(new PrometheusCounter(options));
  }

  histogram<L extends string = never>(
    options: MetricOptions<L> & { buckets: readonly number[] },
  ): Histogram<L> {
    return this.#registered(new PrometheusHistogram(options));
  }

  gauge<L extends string = never>(options: MetricOptions<L> & { read: ReadGauge<L> }): void {
    const { name, help, labels = [] } = options;
    const gauge = new prometheus.Gauge({
      name,
      help,
      labelNames: [...labels],
      registers: [this.#registry],
      async collect() {
        gauge.reset();
        const found = await inTime(options.read);
        if (typeof found === 'number') gauge.set(found);
        else for (const { labels, value } of found ?? []) gauge.set(labels, value);
      },
    });
  }

  /** All of them as text. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  #registered<M extends { readonly name: string; get(): Promise<unknown> }>(metric: M): M {
    this.#registry.registerMetric(metric as never);
    return metric;
  }
}

/** A figure that cannot be had now must not hide the others. */
async function inTime<L extends string>(
  read: ReadGauge<L>,
): Promise<number | readonly GaugeValue<L>[] | undefined> {
  try {
    return await unlessGivenUp(Promise.resolve(read()), { within: PATIENCE });
  } catch {
    return undefined;
  }
}
