import { FULL_PACE, type Pace } from './gzip.ts';

export const BLOCK_BYTES = 1024 * 1024;

/**
 * Cuts what it reads into blocks of one size, whatever the pieces it comes in, hands them to `compress` and passes on
 * what that makes of them, in order. A block's memory is another one's after `compress` is done with it.
 */
export async function* inParallel(
  source: AsyncIterable<Uint8Array>,
  pace: Pace,
  compress: (block: Buffer) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const queue: Promise<Uint8Array>[] = [];
  try {
    // One more is looked back at, and one is being filled.
    for await (const block of blocksOf(source, FULL_PACE.blocksAtOnce + 2)) {
      const compressed = compress(block);
      // Awaited in order, below; a failure in the meantime is not unhandled.
      compressed.catch(() => undefined);
      queue.push(compressed);
      while (queue.length >= pace.blocksAtOnce) yield await queue.shift()!;
    }
    while (queue.length > 0) yield await queue.shift()!;
  } finally {
    // Threads still read and write memory that is the caller's.
    await Promise.allSettled(queue);
  }
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
