import type { TenantPlace } from '#pool/tenants/tenant-places.ts';

/** How long a start that failed is not tried again, in milliseconds. */
const PAUSE = 30_000;

interface Failure {
  readonly until: number;
  readonly policy: string;
  readonly error: unknown;
}

/**
 * `start`, which throws what it threw last when it is asked for again soon, with the same policy: gateways ask every second,
 * and what a tenant has no room for does not come to have it so fast.
 */
export function rememberingFailures<T>(
  start: (place: TenantPlace) => Promise<T>,
  now: () => number = () => performance.now(),
): (place: TenantPlace) => Promise<T> {
  const failures = new Map<string, Failure>();
  return async (place) => {
    const policy = JSON.stringify(place.policy);
    const known = failures.get(place.name);
    if (known && known.policy === policy && now() < known.until) throw known.error;
    try {
      const started = await start(place);
      failures.delete(place.name);
      return started;
    } catch (error) {
      failures.set(place.name, { until: now() + PAUSE, policy, error });
      throw error;
    }
  };
}
