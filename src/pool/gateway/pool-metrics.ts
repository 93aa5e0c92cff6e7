import { type Counter, type Histogram, type Metrics, SECONDS } from '#observability/metrics.ts';

/** Why a container, network or image went where it is; `refused`: nowhere. */
export type PlacementReason = 'pinned' | 'image' | 'layers' | 'room' | 'refused';

/** What a gateway counts of what it gives to workers. */
export class PoolMetrics {
  readonly #placements: Counter<'reason'>;
  readonly #waits: Histogram<never>;

  constructor(metrics: Metrics) {
    this.#placements = metrics.counter({
      name: 'slipway_pool_placements_total',
      help: 'What was placed on workers, by why it is where it is.',
      labels: ['reason'],
    });
    this.#waits = metrics.histogram({
      name: 'slipway_pool_build_wait_seconds',
      help: 'How long builds of clients waited for a worker.',
      buckets: SECONDS,
    });
  }

  placed(reason: PlacementReason): void {
    this.#placements.add({ reason });
  }

  waited(seconds: number): void {
    this.#waits.observe({}, seconds);
  }
}
