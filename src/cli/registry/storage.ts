import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContentStore } from '#content/content-store.ts';
import { queryLog } from '#database/query-log.ts';
import {
  openRegistryDatabase,
  type RegistryDatabase,
  type RegistryDatabaseOptions,
} from '#database/registry/open.ts';
import { Operations, type OperationsPorts } from '#observability/operations.ts';
import { type ContentStorageConfig, openContentStorage } from '../storage/content-storage.ts';
import { type RegistryDatabaseConfig, registryDatabaseOptions } from './database.ts';

export interface RegistryStorage extends AsyncDisposable {
  readonly db: RegistryDatabase;
  /** How `db` was opened. */
  readonly database: RegistryDatabaseOptions;
  readonly content: ContentStore;
  /** Of the content: see `ContentStorage`. */
  checkContent(): Promise<void>;
}

/**
 * Where the registry keeps what it has. On one machine that is SQLite and a local disk, in `<dataDir>/registry`:
 *
 *     registry.db   metadata
 *     blobs/        content, as FilesystemContentStore lays it out
 *
 * A database that an earlier Slipway left is brought forward.
 */
export async function openRegistryStorage(
  config: ContentStorageConfig & RegistryDatabaseConfig,
  observability?: OperationsPorts,
): Promise<RegistryStorage> {
  await using opened = new AsyncDisposableStack();
  await mkdir(join(config.dataDir, 'registry'), { recursive: true });
  const database = await registryDatabaseOptions(config);
  const log = observability && queryLog(new Operations('database', observability));
  const db = await openRegistryDatabase(database, { log });
  opened.defer(() => db.destroy());
  const storage = opened.use(await openContentStorage(config));
  const all = opened.move();
  return {
    db,
    database,
    content: storage.content,
    checkContent: () => storage.check(),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}
