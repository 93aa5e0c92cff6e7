import koffi, { type KoffiFunc } from 'koffi';

const LIBRARY = 'libdeflate.so.0';
export const LIBDEFLATE_PACKAGE = 'libdeflate0';

type Call = KoffiFunc<(...args: unknown[]) => unknown>;

/** The functions of libdeflate that make gzip. */
export interface Libdeflate {
  readonly allocate: Call;
  readonly free: Call;
  readonly bound: Call;
  readonly compress: Call;
}

/** undefined: it is not installed. */
export function loadLibdeflate(): Libdeflate | undefined {
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load(LIBRARY);
  } catch {
    return undefined;
  }
  return {
    allocate: library.func('void *libdeflate_alloc_compressor(int level)'),
    free: library.func('void libdeflate_free_compressor(void *compressor)'),
    bound: library.func('size_t libdeflate_gzip_compress_bound(void *compressor, size_t size)'),
    compress: library.func(
      'size_t libdeflate_gzip_compress(void *compressor, const void *input, size_t size, void *output, size_t room)',
    ),
  };
}

/** Makes gzip members, one at a time. */
export class GzipCompressor implements Disposable {
  readonly #libdeflate: Libdeflate;
  readonly #handle: unknown;

  /** `level`: 0 (stored as it is) to 12. Throws when there is no memory for it. */
  constructor(libdeflate: Libdeflate, level: number) {
    this.#libdeflate = libdeflate;
    this.#handle = libdeflate.allocate(level);
    if (!this.#handle) throw new RangeError('no memory to compress with');
  }

  /** On a thread of the pool, which uses both memories until it resolves. Answers how much of `output` it filled. */
  compress(block: Uint8Array, output: Uint8Array): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const { compress } = this.#libdeflate;
    compress.async(
      this.#handle,
      block,
      block.length,
      output,
      output.length,
      (error: unknown, size: unknown) => {
        if (error) reject(error);
        else if (size === 0) reject(new RangeError('compressed data is larger than its bound'));
        else resolve(Number(size));
      },
    );
    return promise;
  }

  /** The most that a block of that many bytes comes to. */
  bound(size: number): number {
    return Number(this.#libdeflate.bound(this.#handle, size));
  }

  /** Not while it compresses. */
  [Symbol.dispose](): void {
    this.#libdeflate.free(this.#handle);
  }
}
