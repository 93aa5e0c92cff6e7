import { setTimeout as sleep } from 'node:timers/promises';
import { canceled } from '#errors/errors.ts';
import { isTransient, retryAfterOf } from './registry-error.ts';

export interface RetryOptions {
  readonly attempts?: number;
  /** Before the second attempt; doubled for each further one, up to ten seconds. */
  readonly delayMs?: number;
  readonly signal?: AbortSignal;
}

/** Runs a task again while it fails in a way that may pass. */
export async function retrying<T>(task: () => Promise<T>, options: RetryOptions = {}): Promise<T> {
  const attempts = options.attempts ?? 4;
  for (let attempt = 1; ; attempt++) {
    try {
      return await task();
    } catch (error) {
      if (attempt >= attempts || !isTransient(error)) throw error;
      await backOff(attempt, error, options);
    }
  }
}

/** Waits before attempt number `attempt + 1`. Throws `canceled`. */
export async function backOff(attempt: number, error: unknown, options: RetryOptions): Promise<void> {
  const usual = Math.min((options.delayMs ?? 250) * 2 ** (attempt - 1), 10_000);
  const delay = Math.min(Math.max(usual, retryAfterOf(error)), 60_000);
  await sleep(delay, undefined, options.signal ? { signal: options.signal } : {}).catch(() => {
    throw canceled();
  });
}
