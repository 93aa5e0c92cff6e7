import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import { contentStoreContract } from './content-store.ts';

contentStoreContract('memory', async () => {
  const store = new MemoryContentStore();
  return { store, reopen: () => store, async [Symbol.asyncDispose]() {} };
});

contentStoreContract('filesystem', async () => {
  const root = await mkdtemp(join(tmpdir(), 'slipway-content-'));
  return {
    store: new FilesystemContentStore(root),
    reopen: () => new FilesystemContentStore(root),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
});
