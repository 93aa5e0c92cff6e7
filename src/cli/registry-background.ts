import type { Logger } from 'pino';
import type { Registry } from '#registry/registry.ts';

const RECONCILE_INTERVAL = 60 * 60_000;

/**
 * What the registry does beside its requests. Cleans up after the process before this one: what nobody can be writing
 * to goes now, the walk over all content goes on beside the first requests. Then uploads expire now and then.
 * Disposing ends it.
 */
export async function startBackground(
  registry: Registry,
  options: { uploadExpiry: number; logger: Logger },
): Promise<AsyncDisposable> {
  const { uploadExpiry, logger } = options;
  const startedAt = new Date();
  const expire = async (strayBefore: Date) => {
    const removed = await registry.reconciler.expireUploads({
      idleSince: new Date(Date.now() - uploadExpiry),
      strayBefore,
    });
    if (removed > 0) logger.info({ removed }, 'removed abandoned uploads');
  };
  await expire(startedAt);

  const stopping = new AbortController();
  const inBackground = (task: Promise<unknown>) =>
    task.catch((error: unknown) => {
      if (!stopping.signal.aborted) logger.error({ err: error }, 'reconciling failed');
    });
  const { signal } = stopping;
  let background = inBackground(
    registry.reconciler.deleteStrayContent({ before: startedAt, signal }).then((deleted) => {
      if (deleted > 0) logger.info({ deleted }, 'deleted content that no blob owns');
    }),
  );
  const timer = setInterval(() => {
    background = background.then(() => inBackground(expire(new Date(Date.now() - uploadExpiry))));
  }, RECONCILE_INTERVAL);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      stopping.abort();
      await background;
    },
  };
}
