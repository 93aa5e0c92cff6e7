import type { Config } from '#config/schema.ts';
import type { Metrics } from '#observability/metrics.ts';
import type { RateLimitsOptions } from '#registry/http/rate-limits.ts';
import { Networks } from '#registry/limits/networks.ts';
import { RequestLimits } from '#registry/limits/request-limits.ts';
import { SharedBuckets } from '#registry/limits/shared-buckets.ts';

/** How many addresses and principals are told apart at a time: half a megabyte. */
const BUCKETS = 65_536;

/** The limits that are configured; undefined when there are none. */
export function requestLimits({ registry }: Config, metrics: Metrics): RateLimitsOptions | undefined {
  const { exempt, ...rates } = registry.rateLimits;
  if (Object.values(rates).every((rate) => rate === null)) return undefined;
  const buckets = new SharedBuckets({ size: BUCKETS });
  return {
    limits: new RequestLimits({ ...rates, buckets, exempt: new Networks(exempt) }),
    refused: metrics.counter({
      name: 'slipway_rate_limited_requests_total',
      help: 'Requests that were turned away because there were too many.',
      labels: ['limit'],
    }),
  };
}
