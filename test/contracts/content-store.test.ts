import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FilesystemContentStore } from '#content/filesystem-content-store.ts';
import { MemoryContentStore } from '#content/memory-content-store.ts';
import { S3ContentStore } from '#content/s3-content-store.ts';
import { s3Settings, sharedS3 } from '../s3/shared-s3.ts';
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

contentStoreContract('s3', async () => {
  const settings = s3Settings(await sharedS3());
  await using made = new AsyncDisposableStack();
  const open = () => made.use(new S3ContentStore(settings));
  const [store, all] = [open(), made.move()];
  return {
    store,
    reopen: () => all.use(new S3ContentStore(settings)),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
});
