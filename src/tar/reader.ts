import type { TarEntry } from './entry.ts';
import { type TarLimits, TarParser } from './parser.ts';

/** An entry with its content. What is not read of `body` is skipped when the next entry is asked for. */
export interface TarFile {
  readonly entry: TarEntry;
  readonly body: AsyncIterable<Uint8Array>;
}

type Event = { entry: TarEntry } | { data: Uint8Array } | 'end';

/** Reads a tar as a sequence of files, one at a time, with back-pressure on `source`. Throws as `TarParser` does. */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  limits?: TarLimits,
): AsyncGenerator<TarFile, void, undefined> {
  const events = parseEvents(source, limits);
  try {
    for (let event = await events.next(); !event.done; event = await events.next()) {
      if (event.value === 'end' || !('entry' in event.value)) continue;
      const content = contentOf(events);
      yield { entry: event.value.entry, body: { [Symbol.asyncIterator]: () => content } };
      // Run on to the entry's end, whether the caller read it, left it or stopped half-way.
      while (!(await content.next()).done);
    }
  } finally {
    await events.return();
  }
}

async function* parseEvents(
  source: AsyncIterable<Uint8Array>,
  limits?: TarLimits,
): AsyncGenerator<Event, void, undefined> {
  let queue: Event[] = [];
  const parser = new TarParser(
    {
      entry: (entry) => queue.push({ entry }),
      data: (data) => queue.push({ data }),
      end: () => queue.push('end'),
    },
    limits,
  );
  for await (const chunk of source) {
    parser.write(chunk);
    const parsed = queue;
    queue = [];
    yield* parsed;
  }
  parser.finish();
}

/** An iterator without `return`, so that a `break` in the caller's loop leaves it able to skip the rest. */
function contentOf(events: AsyncIterator<Event>): AsyncIterator<Uint8Array> {
  let done = false;
  return {
    async next(): Promise<IteratorResult<Uint8Array>> {
      if (done) return { done, value: undefined };
      const event = await events.next();
      if (!event.done && event.value !== 'end' && 'data' in event.value) {
        return { done: false, value: event.value.data };
      }
      done = true;
      return { done, value: undefined };
    },
  };
}
