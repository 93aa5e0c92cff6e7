/**
 * libuv's pool does every read, write and sync of files, and name look-ups; a sync of a busy disk takes a while, and
 * four threads (the default) soon all wait for one.
 */
const THREADS = '16';

/** The environment that a role's process begins with: this process's, and a larger thread pool unless that says one. */
export function roleEnvironment(environment: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return { UV_THREADPOOL_SIZE: THREADS, ...environment };
}
