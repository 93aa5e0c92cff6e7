/** Hands values over from a producer that waits until they are taken to a consumer that waits for them. */
export class MessageQueue<T> implements AsyncIterable<T> {
  readonly #waiting: { value: T; taken: () => void }[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  /** Resolves when the value was taken, or nobody will. */
  push(value: T): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((taken) => {
      this.#waiting.push({ value, taken });
      this.#wake?.();
    });
  }

  /** What was pushed before is still handed over. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** What was not taken yet is dropped. */
  close(): void {
    for (const { taken } of this.#waiting.splice(0)) taken();
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      for (;;) {
        const next = this.#waiting.shift();
        if (next) {
          yield next.value;
          next.taken();
        } else if (this.#ended) return;
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.close();
    }
  }
}
