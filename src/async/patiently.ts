import { unlessGivenUp } from './unless-given-up.ts';

/**
 * What `source` gives. Where it leaves its reader waiting for longer than `milliseconds` (0: for ever), throws what `late`
 * makes, and asks the source for nothing any more; time that the reader takes does not count.
 */
export async function* patiently<T>(
  source: AsyncIterable<T>,
  milliseconds: number,
  late: () => Error,
): AsyncGenerator<T, void, undefined> {
  if (milliseconds === 0) return yield* source;
  const iterator = source[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      const next = await unlessGivenUp(iterator.next(), { within: milliseconds });
      if (!next) throw late();
      if (next.done) break;
      yield next.value;
    }
    ended = true;
  } finally {
    // One that does not answer is not waited for again.
    if (!ended) iterator.return?.().catch(() => undefined);
  }
}
