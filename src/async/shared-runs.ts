/**
 * A task for all who ask for it. Those who ask while it runs share the run after that one, which may have begun too
 * early for them; a run that fails fails for those who waited for it.
 */
export class SharedRuns {
  readonly #task: () => Promise<void>;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(task: () => Promise<void>) {
    this.#task = task;
  }

  /** Resolves when a run has ended that began after the call. */
  run(): Promise<void> {
    this.#next ??= (this.#running ?? Promise.resolve()).then(() => this.#start());
    return this.#next;
  }

  /** Resolves when nothing runs and nobody waits. */
  async idle(): Promise<void> {
    while (this.#next ?? this.#running) await (this.#next ?? this.#running)?.catch(() => {});
  }

  #start(): Promise<void> {
    const run = this.#task();
    this.#next = undefined;
    const ended = run
      .catch(() => {})
      .then(() => {
        if (this.#running === ended) this.#running = undefined;
      });
    this.#running = ended;
    return run;
  }
}
