import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isKind } from '#errors/errors.ts';
import type { Membership } from './membership.ts';

/** In milliseconds. */
const PAUSE = 5_000;

/** Has what a worker has of tenants that were removed taken away, until it is disposed. */
export function followRemovals(
  membership: Pick<Membership, 'ask'>,
  remove: (tenant: string) => Promise<void>,
  log: Logger,
): AsyncDisposable {
  const stopping = new AbortController();
  const { signal } = stopping;
  const look = async () => {
    const { tenants } = (await membership.ask('POST', '/tenants/remains')) as { tenants: string[] };
    for (const tenant of tenants) {
      if (signal.aborted) return;
      try {
        await remove(tenant);
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
