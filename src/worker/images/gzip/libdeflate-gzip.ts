import { looksCompressed } from './compressed-content.ts';
import { FULL_PACE, type Gzip, type GzipOptions } from './gzip.ts';
import { GzipCompressor, type Libdeflate } from './libdeflate.ts';
import { inParallel } from './parallel-blocks.ts';

/** Layers come to the size that zlib makes of them at its level 5, in half the time. */
const DEFAULT_LEVEL = 2;
const STORED = 0;

/**
 * Each block is a gzip member of its own (RFC 1952, 2.2: a file is a series of members), as in eStargz layers. Blocks
 * of what is compressed already are stored as they are.
 */
export class LibdeflateGzip implements Gzip {
  readonly library = 'libdeflate';
  readonly #libdeflate: Libdeflate;

  constructor(libdeflate: Libdeflate) {
    this.#libdeflate = libdeflate;
  }

  async *compress(
    source: AsyncIterable<Uint8Array>,
    { level = DEFAULT_LEVEL, pace = FULL_PACE }: GzipOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    using compressors = new Compressors(this.#libdeflate);
    let empty = true;
    for await (const member of inParallel(source, pace, (block) =>
      compressors.member(block, looksCompressed(block) ? STORED : level),
    )) {
      empty = false;
      yield member;
    }
    // A file of gzip has one at least.
    if (empty) yield await compressors.member(new Uint8Array(), level);
  }
}

/** Those of one layer: as many of a level as are busy at once. */
class Compressors implements Disposable {
  readonly #libdeflate: Libdeflate;
  readonly #all = new DisposableStack();
  readonly #idle = new Map<number, GzipCompressor[]>();

  constructor(libdeflate: Libdeflate) {
    this.#libdeflate = libdeflate;
  }

  async member(block: Uint8Array, level: number): Promise<Uint8Array> {
    const idle = this.#idle.get(level) ?? [];
    this.#idle.set(level, idle);
    const compressor = idle.pop() ?? this.#all.use(new GzipCompressor(this.#libdeflate, level));
    const output = new Uint8Array(compressor.bound(block.length));
    const size = await compressor.compress(block, output);
    idle.push(compressor);
    return new Uint8Array(output.buffer.transfer(size));
  }

  /** When none is busy. */
  [Symbol.dispose](): void {
    this.#all.dispose();
  }
}
