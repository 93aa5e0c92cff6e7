import * as prometheus from 'prom-client';
import type { Counter, GaugeValue, Histogram, MetricOptions, Metrics, ReadGauge } from './metrics.ts';

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
    const counter = new prometheus.Counter(this.#configuration(options));
    return { add: (labels, amount = 1) => counter.inc(labels, amount) };
  }

  histogram<L extends string = never>(
    options: MetricOptions<L> & { buckets: readonly number[] },
  ): Histogram<L> {
    const histogram = new prometheus.Histogram({
      ...this.#configuration(options),
      buckets: [...options.buckets],
    });
    return { observe: (labels, value) => histogram.observe(labels, value) };
  }

  gauge<L extends string = never>(options: MetricOptions<L> & { read: ReadGauge<L> }): void {
    const gauge = new prometheus.Gauge({
      ...this.#configuration(options),
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

  #configuration<L extends string>({ name, help, labels = [] }: MetricOptions<L>) {
    return { name, help, labelNames: [...labels], registers: [this.#registry] };
  }
}

/** A figure that cannot be had now must not hide the others. */
async function inTime<L extends string>(
  read: ReadGauge<L>,
): Promise<number | readonly GaugeValue<L>[] | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, PATIENCE, undefined);
  });
  try {
    return await Promise.race([read(), late]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
