/** Joins callers that ask for the same thing at the same time: the first one's task serves them all. */
export class SingleFlight<T, K = string> {
  readonly #flights = new Map<K, Promise<T>>();

  run(key: K, task: () => Promise<T>): Promise<T> {
    const running = this.#flights.get(key);
    if (running) return running;
    const flight = task().finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }
}
