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

/** What Node is started with for a role. bin/slipway has the same. */
export function roleFlags(name: 'registry' | 'gateway' | 'worker'): readonly string[] {
  return name === 'worker' ? WORKER_FLAGS : [];
}

/** The environment that a role's process begins with: this process's, and what it does not say. bin/slipway has the same. */
export function roleEnvironment(environment: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return { UV_THREADPOOL_SIZE: THREADS, MALLOC_ARENA_MAX: HEAPS, ...environment };
}
