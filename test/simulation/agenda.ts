/** What is to happen, in the order of virtual time: a binary heap. */
export class Agenda {
  now = 0;
  readonly #heap: {
    readonly at: number;
    readonly order: number;
    readonly task: () => Promise<void> | void;
  }[] = [];
  #order = 0;

  /** At a moment, in milliseconds; at the same one in the order in which it was said. */
  at(moment: number, task: () => Promise<void> | void): void {
    const heap = this.#heap;
    heap.push({ at: Math.max(moment, this.now), order: this.#order++, task });
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!this.#before(i, parent)) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  /** Until nothing is left, or that time has come. */
  async run(until: number): Promise<void> {
    for (let next = this.#heap[0]; next && next.at <= until; next = this.#heap[0]) {
      this.#take();
      this.now = next.at;
      await next.task();
    }
    this.now = until;
  }

  #take(): void {
    const heap = this.#heap;
    this.#swap(0, heap.length - 1);
    heap.pop();
    for (let i = 0; ; ) {
      const [left, right] = [2 * i + 1, 2 * i + 2];
      let least = i;
      if (left < heap.length && this.#before(left, least)) least = left;
      if (right < heap.length && this.#before(right, least)) least = right;
      if (least === i) return;
      this.#swap(i, least);
      i = least;
    }
  }

  #before(a: number, b: number): boolean {
    const [one, other] = [this.#heap[a]!, this.#heap[b]!];
    return one.at < other.at || (one.at === other.at && one.order < other.order);
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    [heap[a], heap[b]] = [heap[b]!, heap[a]!];
  }
}
