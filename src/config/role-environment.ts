import { fileURLToPath } from 'node:url';

/**
 * libuv's pool does every read, write and sync of files, and name look-ups; a sync of a busy disk takes a while, and
 * four threads (the default) soon all wait for one.
 */
const THREADS = '16';

/** glibc gives each thread a heap of its own, up to eight a core, and what one freed does not serve another. */
const HEAPS = '2';

/**
 * V8 frees the memory of buffers that are done with when it collects young objects, which it does each time that so
 * many MB of those were made. A context that streams in makes few objects and many buffers: with the default of 16 a
 * build of 2 GiB kept 100 MB more.
 */
const WORKER_FLAGS = ['--max-semi-space-size=1'];

/**
 * glibc keeps what it freed for whoever asks next, and once a large buffer was freed, for buffers of that size too: of a
 * build of 2 GiB 60 MB stayed in its heap, in pieces. From these sizes on (in bytes) memory goes back to the system at once.
 */
const WORKER_MEMORY = { MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_TRIM_THRESHOLD_: '131072' };

/** Threads find compiled code by it; what strips types would stay in each of them, 20 MB. As in src/cli/main.mjs. */
const COMPILED = fileURLToPath(new URL('../../.cache/compile', import.meta.url));

type RoleName = 'registry' | 'gateway' | 'worker';

/** What Node is started with for a role. bin/slipway has the same. */
export function roleFlags(name: RoleName): readonly string[] {
  return name === 'worker' ? WORKER_FLAGS : [];
}

/** The environment that a role's process begins with: this process's, and what it does not say. bin/slipway has the same. */
export function roleEnvironment(
  name: RoleName,
  environment: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  return {
    UV_THREADPOOL_SIZE: THREADS,
    MALLOC_ARENA_MAX: HEAPS,
    NODE_COMPILE_CACHE: COMPILED,
    ...(name === 'worker' && WORKER_MEMORY),
    ...environment,
  };
}
