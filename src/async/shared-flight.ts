import { canceled } from '#errors/errors.ts';

interface Flight<T, E> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  readonly watchers: Set<(event: E) => void>;
  last: E | undefined;
}

/**
 * Joins callers that ask for the same thing at the same time, as `SingleFlight` does, with two differences: each
 * may leave without harm to the others (the task is aborted when the last one has left), and each hears the
 * task's progress, a late one beginning with what was said last.
 */
export class SharedFlight<T, E, K = string> {
  readonly #flights = new Map<K, Flight<T, E>>();

  /** `task` must end soon after its signal aborts. Throws `canceled` when `signal` aborts. */
  async run(
    key: K,
    task: (context: { signal: AbortSignal; report: (event: E) => void }) => Promise<T>,
    options: { signal?: AbortSignal; watch?: (event: E) => void } = {},
  ): Promise<T> {
    if (options.signal?.aborted) throw canceled();
    let flight = this.#flights.get(key);
    // One that everybody has left is on its way down: wait for that, then start anew.
    while (flight?.controller.signal.aborted) {
      await flight.result.catch(() => undefined);
      flight = this.#flights.get(key);
    }
    flight ??= this.#start(key, task);
    return this.#join(flight, options);
  }

  /** Resolves when a task that everybody has left is over; at once for any other. */
  async abandoned(key: K): Promise<void> {
    const flight = this.#flights.get(key);
    if (flight?.controller.signal.aborted) await flight.result.catch(() => undefined);
  }

  #start(
    key: K,
    task: (context: { signal: AbortSignal; report: (event: E) => void }) => Promise<T>,
  ): Flight<T, E> {
    const controller = new AbortController();
    const watchers = new Set<(event: E) => void>();
    const report = (event: E) => {
      flight.last = event;
      for (const watcher of watchers) watcher(event);
    };
    const result = Promise.resolve()
      .then(() => task({ signal: controller.signal, report }))
      .finally(() => this.#flights.delete(key));
    result.catch(() => undefined);
    const flight: Flight<T, E> = { result, controller, watchers, last: undefined };
    this.#flights.set(key, flight);
    return flight;
  }

  async #join(
    flight: Flight<T, E>,
    options: { signal?: AbortSignal; watch?: (event: E) => void },
  ): Promise<T> {
    // Its own function, so that two callers with the same one count as two.
    const watcher = (event: E) => options.watch?.(event);
    flight.watchers.add(watcher);
    if (flight.last !== undefined) watcher(flight.last);
    const { promise: left, reject } = Promise.withResolvers<never>();
    const leave = () => reject(canceled());
    options.signal?.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([flight.result, left]);
    } finally {
      options.signal?.removeEventListener('abort', leave);
      flight.watchers.delete(watcher);
      if (flight.watchers.size === 0) flight.controller.abort();
    }
  }
}
