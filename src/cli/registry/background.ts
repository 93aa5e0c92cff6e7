import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import type { Leases } from '#database/registry/leases.ts';
import { isKind } from '#errors/errors.ts';
import type { AuditRepository } from '#registry/events/audit-repository.ts';
import type { Housekeeping } from '#registry/housekeeping.ts';
import type { Reconciler } from '#registry/reconciler.ts';

const HOUR = 60 * 60_000;

/** What the registry does beside its requests, on its own or by turns with other processes. */
interface BackgroundParts {
  readonly housekeeping: Housekeeping;
  readonly reconciler: Reconciler;
  readonly leases: Leases;
  readonly audit: AuditRepository;
  readonly logger: Logger;
  /** No other process has this database: what is being written, and began before now, nobody writes any more. */
  readonly alone: boolean;
}

interface Task {
  readonly name: string;
  /** In milliseconds, from the end of one run to the beginning of the next; the first one begins at once. */
  readonly every: number;
  run(signal: AbortSignal): Promise<unknown>;
}

/**
 * Begins what the registry does beside its requests: garbage collection, retention, and bringing content and metadata
 * together after whatever crashed. What it resolves after is what has to be done before the first request. Disposing
 * ends it.
 */
export async function startBackground(
  { housekeeping, reconciler, leases, audit, logger, alone }: BackgroundParts,
  config: Pick<Config['registry'], 'gc' | 'retention' | 'limits' | 'audit'>,
): Promise<AsyncDisposable> {
  const { gc, retention, limits } = config;
  await housekeeping.gcStatus.setDelays({ delay: gc.delay, jitter: Math.round(gc.delay / 10) });
  if (alone) {
    await expireUploads(reconciler, limits.uploadExpiry, logger, new Date()).catch((error: unknown) => {
      // By their age they go all the same, later.
      if (!isKind(error, 'unavailable')) throw error;
      logger.warn({ err: error }, 'what was being written at the end of the last run is left for later');
    });
  }
  const tasks: Task[] = [
    {
      name: 'retention',
      every: retention.interval,
      run: (signal) =>
        leases.run('retention', async (lease) => housekeeping.retention.run({ signal: lease.signal }), {
          signal,
        }),
    },
    {
      name: 'audit log',
      every: HOUR,
      run: (signal) =>
        leases.run('audit', async (lease) => audit.prune(Date.now() - config.audit.keep, lease.signal), {
          signal,
        }),
    },
    {
      name: 'abandoned uploads',
      every: HOUR,
      // By age alone: another process, on another machine, may be writing what nothing here knows of.
      run: (signal) =>
        leases.run('uploads', async () => expireUploads(reconciler, limits.uploadExpiry, logger), { signal }),
    },
    {
      name: 'stray content',
      every: 24 * HOUR,
      run: (signal) =>
        leases.run(
          'stray-content',
          async (lease) => deleteStrays(reconciler, limits.uploadExpiry, logger, lease.signal),
          { signal },
        ),
    },
  ];
  if (gc.enabled) {
    tasks.push({
      name: 'garbage collection',
      every: gc.interval,
      // No lease: processes share the work by skipping what another one has.
      async run(signal) {
        await housekeeping.collector.run({ contentDelay: gc.contentDelay, signal });
        await housekeeping.usage.compact();
      },
    });
  }
  return repeat(tasks, logger);
}

async function expireUploads(
  reconciler: Reconciler,
  expiry: number,
  logger: Logger,
  strayBefore?: Date,
): Promise<void> {
  const idleSince = new Date(Date.now() - expiry);
  const removed = await reconciler.expireUploads({ idleSince, strayBefore: strayBefore ?? idleSince });
  if (removed > 0) logger.info({ removed }, 'removed abandoned uploads');
}

async function deleteStrays(
  reconciler: Reconciler,
  expiry: number,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const deleted = await reconciler.deleteStrayContent({ before: new Date(Date.now() - expiry), signal });
  if (deleted > 0) logger.info({ deleted }, 'deleted content that no blob owns');
}

/** Runs each task again and again; one that fails is logged, and tried again at its time. */
function repeat(tasks: readonly Task[], logger: Logger): AsyncDisposable {
  const stopping = new AbortController();
  const { signal } = stopping;
  const running = tasks.map(async (task) => {
    while (!signal.aborted) {
      await task.run(signal).catch((error: unknown) => {
        if (!signal.aborted) logger.error({ err: error, task: task.name }, 'a background task failed');
      });
      // Not all processes at the same moment.
      await pause(task.every * (0.9 + Math.random() / 5), signal);
    }
  });
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

/** The longest that a timer can be set to, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

/** Ends early, and without an error, when the signal aborts. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, Math.min(milliseconds, LONGEST));
    signal.addEventListener('abort', end, { once: true });
  });
}
