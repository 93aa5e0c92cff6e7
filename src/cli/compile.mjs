import { enableCompileCache, flushCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

// Strips and compiles the code of every role into the cache that `main.mjs` reads it from, in a process that ends: in one
// that serves, what strips types would stay for as long as it lives, and it takes 15 MB.
enableCompileCache(fileURLToPath(new URL('../../.cache/compile', import.meta.url)));
for (const role of [
  'command',
  'serve',
  'process/run-role',
  'registry/registry',
  'worker/worker',
  'gateway/gateway',
])
  await import(`./${role}.ts`);
for (const late of ['#config/load.ts', '#content/s3-content-store.ts']) await import(late);
// Threads' code is compiled, and then fails for want of somebody who started it.
for (const thread of [
  'build/files/file-thread.ts',
  'buildkit/fsutil/receive-thread.ts',
  'snapshots/tree/tree-thread.ts',
]) {
  await import(`#worker/${thread}`).catch(() => undefined);
}
flushCompileCache();
process.exit(0);
