import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '#config/schema.ts';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import { openRegistryDatabase } from '#database/registry/open.ts';
import { createRegistryApp } from '#registry/http/registry-app.ts';
import { closeServer, createRegistryServer } from '#registry/http/registry-server.ts';
import { createRegistry, type Registry } from '#registry/registry.ts';
import { listen } from './listen.ts';
import type { RoleContext, RunningRole } from './role.ts';

const RECONCILE_INTERVAL = 60 * 60_000;
/** How long requests under way may go on after a stop was asked for. */
const STOP_GRACE = 5_000;

/** What the registry role reads of the configuration. */
type RegistryConfig = Pick<Config, 'dataDir'> & { registry: Pick<Config['registry'], 'listen' | 'limits'> };

/**
 * The registry over SQLite and a local disk, in `<dataDir>/registry`:
 *
 *     registry.db   metadata
 *     blobs/        content, as FilesystemContentStore lays it out
 */
export async function startRegistry(config: RegistryConfig, role: RoleContext): Promise<RunningRole> {
  await using started = new AsyncDisposableStack();
  const directory = join(config.dataDir, 'registry');
  await mkdir(directory, { recursive: true });
  const db = await openRegistryDatabase(join(directory, 'registry.db'));
  started.defer(() => db.destroy());
  const registry = createRegistry({ db, content: new FilesystemContentStore(join(directory, 'blobs')) });

  started.use(await startReconciling(registry, config.registry.limits.uploadExpiry, role.logger));

  const app = createRegistryApp(registry, {
    logger: role.logger,
    maxManifestSize: config.registry.limits.manifestSize,
  });
  const server = createRegistryServer(app);
  started.defer(() => closeServer(server, STOP_GRACE));
  const address = await listen(server, config.registry.listen);

  const running = started.move();
  return { addresses: [address], [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/**
 * Cleans up after the process before this one: what nobody can be writing to goes now, the walk over all content
 * goes on beside the first requests. Then uploads expire now and then.
 */
async function startReconciling(
  registry: Registry,
  expiry: number,
  logger: Logger,
): Promise<AsyncDisposable> {
  const startedAt = new Date();
  const expire = async (strayBefore: Date) => {
    const removed = await registry.reconciler.expireUploads({
      idleSince: new Date(Date.now() - expiry),
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
    background = background.then(() => inBackground(expire(new Date(Date.now() - expiry))));
  }, RECONCILE_INTERVAL);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      stopping.abort();
      await background;
    },
  };
}
