/** Makes gzip of a layer's tar, on several threads. */
export interface Gzip {
  /** What it is made with: the bytes are that library's, and may be other ones in another version of it. */
  readonly library: 'libdeflate' | 'zlib';

  /**
   * The same input and level give the same bytes, however the input is cut and whatever the pace. A piece of input is
   * done with when the next one is asked for; a piece of output is the caller's.
   */
  compress(source: AsyncIterable<Uint8Array>, options?: GzipOptions): AsyncIterable<Uint8Array>;
}

export interface GzipOptions {
  /** 0 to 9. undefined: the library's own choice of time and size. */
  readonly level?: number | undefined;
  readonly pace?: Pace | undefined;
}

/** How much is compressed side by side. May change meanwhile; the bytes are the same. */
export interface Pace {
  readonly blocksAtOnce: number;
}

/** More than a small machine has cores: a block waits now and then for the one before it. */
export const FULL_PACE: Pace = { blocksAtOnce: 4 };
