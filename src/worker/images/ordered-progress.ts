import type { ProgressSink } from './progress.ts';

export interface OrderedProgress {
  readonly sink: ProgressSink;
  /** Resolves when every line so far was taken. */
  readonly settled: () => Promise<void>;
}

/** A sink whose lines wait for each other, so that a slow reader gets them in order; a reader's failure is its own. */
export function orderedProgress(sink: ProgressSink = () => undefined): OrderedProgress {
  let last: Promise<void> = Promise.resolve();
  return {
    sink: (line) => {
      last = last.then(() => sink(line)).catch(() => undefined);
      return last;
    },
    settled: () => last,
  };
}
