import { readTar } from '#tar/reader.ts';
import { END_OF_ARCHIVE, encodeEntry, padding } from '#tar/writer.ts';

/**
 * A layer's tar with no file younger than `epoch`, so that two builds at different times make the same layer. Order and
 * content stay.
 */
export async function* rewriteTimes(
  tar: AsyncIterable<Uint8Array>,
  epoch: Date,
): AsyncGenerator<Uint8Array, void, undefined> {
  const latest = Math.floor(epoch.getTime() / 1000);
  for await (const { entry, body } of readTar(tar)) {
    const { mtimeNanoseconds, ...rest } = entry;
    const younger = entry.mtime > latest || (entry.mtime === latest && (mtimeNanoseconds ?? 0) > 0);
    yield encodeEntry(younger ? { ...rest, mtime: latest } : entry);
    if (entry.type !== 'file') continue;
    yield* body;
    yield padding(entry.size);
  }
  yield END_OF_ARCHIVE;
}
