import { notFound } from '#errors/errors.ts';
import type { ContentReader, ContentStore, ContentWriter } from './content-store.ts';
import { locationSegments } from './location.ts';

interface Entry {
  chunks: Uint8Array[];
  size: number;
  modifiedAt: Date;
}

/** Content in this process's memory: for tests, and for what need not outlive the process. */
export class MemoryContentStore implements ContentStore {
  readonly minimumChunk = undefined;
  readonly #committed = new Map<string, Entry>();
  readonly #ingests = new Map<string, Entry>();

  async writer(location: string): Promise<ContentWriter> {
    locationSegments(location);
    const entry = this.#ingests.get(location) ?? { chunks: [], size: 0, modifiedAt: new Date() };
    this.#ingests.set(location, entry);
    return new MemoryContentWriter(entry, {
      commit: () => {
        this.#ingests.delete(location);
        this.#committed.set(location, entry);
      },
      abort: () => {
        this.#ingests.delete(location);
      },
    });
  }

  async open(location: string, range?: { start: number; end: number }): Promise<ContentReader> {
    locationSegments(location);
    const entry = this.#committed.get(location);
    if (!entry) throw notFound(`no content at ${location}`);
    const start = range?.start ?? 0;
    const end = Math.min(range?.end ?? entry.size - 1, entry.size - 1);
    return {
      size: entry.size,
      [Symbol.asyncIterator]: () => slices(entry.chunks, start, end + 1),
      async each(take) {
        for await (const chunk of slices(entry.chunks, start, end + 1)) await take(chunk);
      },
    };
  }

  async stat(location: string): Promise<{ size: number } | undefined> {
    locationSegments(location);
    const entry = this.#committed.get(location);
    return entry && { size: entry.size };
  }

  async link(location: string): Promise<undefined> {
    locationSegments(location);
  }

  async delete(location: string): Promise<void> {
    locationSegments(location);
    this.#committed.delete(location);
    this.#ingests.delete(location);
  }

  async *walk(prefix?: string) {
    for (const [location, { size, modifiedAt }] of [...this.#committed]) {
      if (prefix === undefined || location.startsWith(`${prefix}/`)) yield { location, size, modifiedAt };
    }
  }

  async *ingests() {
    for (const [location, { size, modifiedAt }] of [...this.#ingests]) yield { location, size, modifiedAt };
  }
}

class MemoryContentWriter implements ContentWriter {
  readonly #entry: Entry;
  readonly #ends: { commit(): void; abort(): void };

  constructor(entry: Entry, ends: { commit(): void; abort(): void }) {
    this.#entry = entry;
    this.#ends = ends;
  }

  get offset(): number {
    return this.#entry.size;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#entry.chunks.push(Uint8Array.from(chunk));
    this.#entry.size += chunk.length;
    this.#entry.modifiedAt = new Date();
  }

  async *read(): AsyncIterable<Uint8Array> {
    yield* [...this.#entry.chunks];
  }

  async commit(): Promise<void> {
    this.#ends.commit();
  }

  async abort(): Promise<void> {
    this.#ends.abort();
  }

  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

async function* slices(
  chunks: readonly Uint8Array[],
  start: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  let position = 0;
  for (const chunk of [...chunks]) {
    const from = Math.max(start - position, 0);
    const to = Math.min(end - position, chunk.length);
    if (from < to) yield chunk.subarray(from, to);
    position += chunk.length;
  }
}
