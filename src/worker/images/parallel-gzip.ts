import { promisify } from 'node:util';
import { constants, crc32, deflateRaw, type ZlibOptions } from 'node:zlib';
import { looksCompressed } from './compressed-content.ts';

const deflate = promisify<Buffer, ZlibOptions, Buffer>(deflateRaw);

const BLOCK_BYTES = 1024 * 1024;
/** How far back deflate can refer. */
const DICTIONARY_BYTES = 32 * 1024;
/** How much is compressed side by side. May change meanwhile; the bytes are the same. */
export interface Pace {
  blocksAtOnce: number;
}

/** Two libuv threads more than this machine needs leave room for the others' file calls. */
export const FULL_PACE: Readonly<Pace> = { blocksAtOnce: 4 };

/** Magic, deflate, no flags, no time, no extra flags, unknown system: the same input gives the same bytes. */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
/** An empty final block (RFC 1951, 3.2.4, fixed codes). */
const LAST_BLOCK = Buffer.from([3, 0]);
/** Large hash tables, a sixth less time for the same size; most blocks fit into one buffer. */
const MEMORY = { memLevel: 9, chunkSize: BLOCK_BYTES / 2 } as const;
/** Of a stored block (RFC 1951, 3.2.4). */
const STORED_BYTES = 65_535;
const STORED_HEADER_BYTES = 5;

/**
 * Compresses to one gzip member on several threads, as pigz does: blocks are deflated side by side, each with the
 * end of the one before as its dictionary, and end on a byte border so that they can be joined. Blocks of what is
 * compressed already are stored as they are.
 */
export async function* parallelGzip(
  source: AsyncIterable<Uint8Array>,
  options: { level?: number; pace?: Readonly<Pace> } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const { level = 5, pace = FULL_PACE } = options;
  const queue: Promise<Buffer>[] = [];
  let dictionary: Buffer | undefined;
  let checksum = 0;
  let size = 0;
  yield HEADER;
  for await (const block of blocksOf(source, FULL_PACE.blocksAtOnce + 2)) {
    checksum = crc32(block, checksum);
    size = (size + block.length) % 2 ** 32;
    const compressed = looksCompressed(block)
      ? Promise.resolve(stored(block))
      : deflate(block, {
          ...MEMORY,
          level,
          finishFlush: constants.Z_SYNC_FLUSH,
          ...(dictionary && { dictionary }),
        });
    // Awaited in order, below; a failure in the meantime is not unhandled.
    compressed.catch(() => undefined);
    queue.push(compressed);
    dictionary = block.subarray(-DICTIONARY_BYTES);
    while (queue.length >= pace.blocksAtOnce) yield await queue.shift()!;
  }
  for (const compressed of queue) yield await compressed;
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(checksum, 0);
  trailer.writeUInt32LE(size, 4);
  yield Buffer.concat([LAST_BLOCK, trailer]);
}

/** Between two byte borders, as deflate stores it at level 0. */
function stored(block: Uint8Array): Buffer {
  const count = Math.ceil(block.length / STORED_BYTES);
  const output = Buffer.allocUnsafeSlow(block.length + count * STORED_HEADER_BYTES);
  let at = 0;
  for (let start = 0; start < block.length; start += STORED_BYTES) {
    const piece = block.subarray(start, start + STORED_BYTES);
    at = output.writeUInt8(0, at);
    at = output.writeUInt16LE(piece.length, at);
    at = output.writeUInt16LE(0xffff - piece.length, at);
    output.set(piece, at);
    at += piece.length;
  }
  return output;
}

/** Whole blocks, and the rest. Each has its memory until `count - 1` more have been asked for. */
async function* blocksOf(source: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Buffer> {
  const blocks: Buffer[] = [];
  let at = 0;
  let size = 0;
  const current = () => {
    blocks[at] ??= Buffer.allocUnsafeSlow(BLOCK_BYTES);
    return blocks[at]!;
  };
  for await (const chunk of source) {
    for (let offset = 0; offset < chunk.length; ) {
      const piece = chunk.subarray(offset, offset + BLOCK_BYTES - size);
      current().set(piece, size);
      offset += piece.length;
      size += piece.length;
      if (size < BLOCK_BYTES) continue;
      yield current();
      at = (at + 1) % count;
      size = 0;
    }
  }
  if (size > 0) yield current().subarray(0, size);
}
