import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '#config/schema.ts';
import type { ContentStore } from '#content/content-store.ts';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import { openRegistryDatabase, type RegistryDatabase } from '#database/registry/open.ts';

export interface RegistryStorage extends AsyncDisposable {
  readonly db: RegistryDatabase;
  readonly content: ContentStore;
}

/**
 * Where the registry keeps what it has: SQLite and a local disk, in `<dataDir>/registry`:
 *
 *     registry.db   metadata
 *     blobs/        content, as FilesystemContentStore lays it out
 */
export async function openRegistryStorage(config: Pick<Config, 'dataDir'>): Promise<RegistryStorage> {
  const directory = join(config.dataDir, 'registry');
  await mkdir(directory, { recursive: true });
  const db = await openRegistryDatabase(join(directory, 'registry.db'));
  const content = new FilesystemContentStore(join(directory, 'blobs'));
  return { db, content, [Symbol.asyncDispose]: () => db.destroy() };
}
