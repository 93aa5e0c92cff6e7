import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isKind } from '#errors/errors.ts';
import type { HeldTenant } from '../tenants/tenant-removal-repository.ts';
import type { Membership } from './membership.ts';

/** In milliseconds. */
const PAUSE = 5_000;

/** What a worker has of tenants. */
export interface RemovableTenants {
  held(): readonly HeldTenant[];
  /** Takes away all of a tenant, up to this generation. */
  remove(tenant: string, generation: number): Promise<void>;
}

/** Has what a worker has of tenants that were removed taken away, until it is disposed. */
export function followRemovals(
  membership: Pick<Membership, 'ask'>,
  tenants: RemovableTenants,
  log: Logger,
): AsyncDisposable {
  const stopping = new AbortController();
  const { signal } = stopping;
  const look = async () => {
    const body = { held: tenants.held() };
    const remains = (await membership.ask('POST', '/tenants/remains', body)) as { tenants: HeldTenant[] };
    for (const { tenant, generation } of remains.tenants) {
      if (signal.aborted) return;
      try {
        await tenants.remove(tenant, generation);
        await membership.ask('POST', '/tenants/removed', { tenant });
      } catch (err) {
        // The others' turn is not after this one's.
        log.warn({ err, tenant }, 'what a removed tenant had here is not gone yet');
      }
    }
  };
  const running = (async () => {
    while (!signal.aborted) {
      await look().catch((err: unknown) => {
        if (!isKind(err, 'unavailable')) log.warn({ err }, 'which tenants were removed is not known');
      });
      await sleep(PAUSE, undefined, { signal, ref: false }).catch(() => undefined);
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
    },
  };
}
