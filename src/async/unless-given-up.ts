/** How long something is waited for: until the signal aborts, and for at most so many milliseconds. */
export interface Patience {
  readonly signal?: AbortSignal | undefined;
  readonly within?: number | undefined;
}

/** What `task` comes to, or undefined once it is waited for no longer. It goes on then, and what it fails with is nobody's. */
export async function unlessGivenUp<T>(
  task: Promise<T>,
  { signal, within }: Patience,
): Promise<T | undefined> {
  const { promise: given, resolve } = Promise.withResolvers<undefined>();
  const give = () => resolve(undefined);
  const timer = within === undefined ? undefined : setTimeout(give, within);
  signal?.addEventListener('abort', give);
  if (signal?.aborted) give();
  task.catch(() => undefined);
  try {
    // A task that is done already counts, whatever the signal says.
    return await Promise.race([task, given]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', give);
  }
}
