import { promisify } from 'node:util';
import { constants, crc32, deflateRaw, type ZlibOptions } from 'node:zlib';
import { looksCompressed } from './compressed-content.ts';
import { FULL_PACE, type Gzip, type GzipOptions } from './gzip.ts';
import { BLOCK_BYTES, inParallel } from './parallel-blocks.ts';

const deflate = promisify<Buffer, ZlibOptions, Buffer>(deflateRaw);

const DEFAULT_LEVEL = 5;
/** How far back deflate can refer. */
const DICTIONARY_BYTES = 32 * 1024;
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
 * One gzip member, made as pigz does: blocks are deflated side by side, each with the end of the one before as its
 * dictionary, and end on a byte border so that they can be joined. Blocks of what is compressed already are stored as
 * they are.
 */
export class ZlibGzip implements Gzip {
  readonly library = 'zlib';

  async *compress(
    source: AsyncIterable<Uint8Array>,
    { level = DEFAULT_LEVEL, pace = FULL_PACE }: GzipOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let dictionary: Buffer | undefined;
    let checksum = 0;
    let size = 0;
    yield Buffer.from(HEADER);
    yield* inParallel(source, pace, (block) => {
      checksum = crc32(block, checksum);
      size = (size + block.length) % 2 ** 32;
      const before = dictionary;
      dictionary = block.subarray(-DICTIONARY_BYTES);
      if (looksCompressed(block)) return Promise.resolve(stored(block));
      return deflate(block, {
        ...MEMORY,
        level,
        finishFlush: constants.Z_SYNC_FLUSH,
        ...(before && { dictionary: before }),
      });
    });
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(checksum, 0);
    trailer.writeUInt32LE(size, 4);
    yield Buffer.concat([LAST_BLOCK, trailer]);
  }
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
