/**
 * Figures about what a role does, for whoever collects them. A name begins with `slipway_`, ends with its unit
 * (`_seconds`, `_bytes`) or, for a counter, with `_total`; each is made once a role. Labels have few values: never a
 * name, digest or address that a client chose.
 */
export interface Metrics {
  counter<L extends string = never>(options: MetricOptions<L>): Counter<L>;

  /** `buckets` are upper bounds, ascending. */
  histogram<L extends string = never>(
    options: MetricOptions<L> & { buckets: readonly number[] },
  ): Histogram<L>;

  /** What `read` says when someone looks. One that throws or takes long is left out. */
  gauge<L extends string = never>(options: MetricOptions<L> & { read: ReadGauge<L> }): void;
}

export interface MetricOptions<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly L[];
}

export type ReadGauge<L extends string> = () =>
  | number
  | readonly GaugeValue<L>[]
  | Promise<number | readonly GaugeValue<L>[]>;

export interface GaugeValue<L extends string> {
  readonly labels: Readonly<Record<L, string>>;
  readonly value: number;
}

export interface Counter<L extends string> {
  add(labels: Readonly<Record<L, string>>, amount?: number): void;
}

export interface Histogram<L extends string> {
  observe(labels: Readonly<Record<L, string>>, value: number): void;
}

/** From a tenth of a millisecond to a minute: what a lookup takes, and what a large blob takes. */
export const SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

/** For parts that are used where nobody collects anything. */
export const NO_METRICS: Metrics = {
  counter: () => ({ add() {} }),
  histogram: () => ({ observe() {} }),
  gauge() {},
};
