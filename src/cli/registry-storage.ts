import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContentStore } from '#content/content-store.ts';
import { openRegistryDatabase, type RegistryDatabase } from '#database/registry/open.ts';
import { type ContentStorageConfig, openContentStorage } from './content-storage.ts';

export interface RegistryStorage extends AsyncDisposable {
  readonly db: RegistryDatabase;
  readonly content: ContentStore;
}

/**
 * Where the registry keeps what it has. On one machine that is SQLite and a local disk, in `<dataDir>/registry`:
 *
 *     registry.db   metadata
 *     blobs/        content, as FilesystemContentStore lays it out
 */
export async function openRegistryStorage(config: ContentStorageConfig): Promise<RegistryStorage> {
  await using opened = new AsyncDisposableStack();
  const directory = join(config.dataDir, 'registry');
  await mkdir(directory, { recursive: true });
  const db = await openRegistryDatabase(join(directory, 'registry.db'));
  opened.defer(() => db.destroy());
  const { content } = opened.use(await openContentStorage(config));
  const all = opened.move();
  return { db, content, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
