/** Bytes that are looked at, in pieces all over a block. */
const PIECES = 16;
const PIECE_BYTES = 1024;
/** Bits a byte. Of random bytes so few samples have 7.99; of what compresses by a hundredth or more, less than this. */
const ENTROPY_OF_NOISE = 7.95;

/**
 * Whether bytes are as evenly distributed as those of archives, pictures and keys, so that compressing them takes
 * long and saves nothing. The same bytes always have the same answer.
 */
export function looksCompressed(block: Uint8Array): boolean {
  if (block.length < PIECES * PIECE_BYTES) return false;
  const counts = new Uint32Array(256);
  const stride = Math.floor((block.length - PIECE_BYTES) / (PIECES - 1));
  for (let piece = 0; piece < PIECES; piece++) {
    const start = piece * stride;
    for (let at = start; at < start + PIECE_BYTES; at++) counts[block[at]!]!++;
  }
  const total = PIECES * PIECE_BYTES;
  let entropy = 0;
  for (const count of counts) {
    if (count > 0) entropy -= (count / total) * Math.log2(count / total);
  }
  return entropy > ENTROPY_OF_NOISE;
}
