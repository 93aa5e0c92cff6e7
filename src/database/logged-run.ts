import type { CompiledQuery, LogEvent } from 'kysely';

/** Hears of every query. */
export type QueryListener = (event: LogEvent) => void;

/** Runs a query that does not go through Kysely, and has it heard of as if it did. */
export function loggedRun<T>(listener: QueryListener | undefined, query: CompiledQuery, run: () => T): T {
  if (!listener) return run();
  const started = performance.now();
  const event = (level: LogEvent['level'], error?: unknown) =>
    ({ level, query, queryDurationMillis: performance.now() - started, error }) as LogEvent;
  try {
    const result = run();
    listener(event('query'));
    return result;
  } catch (error) {
    listener(event('error', error));
    throw error;
  }
}
