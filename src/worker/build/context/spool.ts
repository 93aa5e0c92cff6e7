import { createWriteStream } from 'node:fs';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { SlipwayError, systemCode, tooLarge, unavailable } from '#errors/errors.ts';
import { decompress } from '#worker/snapshots/tree/decompress.ts';

const CHUNK_BYTES = 256 * 1024;

/**
 * Writes what a client sends to a file, unpacked from gzip or zstd, in bounded memory. Throws `too-large` beyond
 * `maxBytes` (also for a small stream that inflates without end), `invalid` for a broken one.
 */
export async function spool(
  source: AsyncIterable<Uint8Array>,
  file: string,
  { maxBytes, signal }: { maxBytes: number; signal: AbortSignal },
): Promise<number> {
  let size = 0;
  const limit = new Transform({
    highWaterMark: CHUNK_BYTES,
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size > maxBytes) done(tooLarge(`the build context is larger than ${maxBytes} bytes`));
      else done(null, chunk);
    },
  });
  const target = createWriteStream(file, { mode: 0o600, highWaterMark: 4 * CHUNK_BYTES });
  const unpacked = Readable.from(decompress(source), { objectMode: false, highWaterMark: CHUNK_BYTES });
  try {
    await pipeline(unpacked, limit, target, { signal });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof SlipwayError) throw cause;
    throw unavailable(`cannot receive the build context: ${systemCode(cause) ?? cause}`, { cause });
  }
  return size;
}
