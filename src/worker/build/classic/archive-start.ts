import { TarParser } from '#tar/parser.ts';

/** As many tell one project's archive from another's. */
const MAX_NAMES = 32;

/**
 * An archive with the names of what it begins with, as far as its first piece has them: projects are told apart by
 * them. None of one that is compressed, or broken.
 */
export async function openArchive(
  source: AsyncIterable<Uint8Array>,
): Promise<{ names: readonly string[]; archive: AsyncIterable<Uint8Array> }> {
  const rest = source[Symbol.asyncIterator]();
  const first = await rest.next();
  const archive = {
    async *[Symbol.asyncIterator]() {
      if (first.done) return;
      yield first.value;
      yield* { [Symbol.asyncIterator]: () => rest };
    },
  };
  return { names: first.done ? [] : leadingNames(first.value), archive };
}

function leadingNames(bytes: Uint8Array): readonly string[] {
  const names: string[] = [];
  const sink = {
    entry: ({ path }: { path: string }) => void (names.length < MAX_NAMES && names.push(path)),
    data: () => {},
    end: () => {},
  };
  try {
    new TarParser(sink).write(bytes);
  } catch {
    return [];
  }
  return names;
}
