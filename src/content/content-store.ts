export interface WriterOptions {
  /** Nobody waits for it: the disk is left to others until the commit. */
  readonly patient?: boolean;
}

/**
 * Where blob bytes live. Content is stored under a *location*, a name that its owner chose; who owns which
 * digest, and at which location, is the business of the caller's metadata. So nothing is moved or copied when
 * a digest becomes known, on any driver.
 *
 * A location is 1 to 8 path segments of `[a-zA-Z0-9._-]`, none of them `.` or `..`, joined with `/`. No location
 * is the beginning of another's path. Anything else is `invalid`.
 *
 * What is being written is invisible to `open`, `stat` and `walk` until `commit`. (A driver whose writes cannot be
 * read may show to `open` and `stat` what `ContentWriter.read` was called for. Metadata says what is a blob, never
 * the existence of content.) Concurrency: one writer a
 * location at a time (the caller sees to it); any number of readers; readers that opened before a delete
 * finish undisturbed or fail with `not-found`, never with wrong bytes.
 */
export interface ContentStore {
  /** Writes that are closed and gone on with are cheap from this size on, in bytes; undefined: at any size. */
  readonly minimumChunk: number | undefined;

  /**
   * Begins to write at `location`, or goes on where an earlier writer (also of another process) left off: see
   * `ContentWriter.offset`. The caller closes it with `commit`, `abort` or `close`.
   */
  writer(location: string, options?: WriterOptions): Promise<ContentWriter>;

  /** Throws `not-found`. The caller reads to the end or calls `return` on the iterator. `end` is inclusive. */
  open(location: string, range?: { start: number; end: number }): Promise<ContentReader>;

  stat(location: string): Promise<{ size: number } | undefined>;

  /**
   * A URL under which anyone can read the committed content for a while, ranges too, without passing through this
   * process; undefined where the driver has none. Whether the content is there is not looked at.
   */
  link(location: string): Promise<string | undefined>;

  /** Deletes committed content and any write under way; not finding it is no error. */
  delete(location: string): Promise<void>;

  /** Everything committed below a prefix, in no order. Entries may appear or vanish while it runs. */
  walk(prefix?: string): AsyncIterable<{ location: string; size: number; modifiedAt: Date }>;

  /** Writes that were neither committed nor aborted and left something behind, with when they last grew. */
  ingests(): AsyncIterable<{ location: string; size: number; modifiedAt: Date }>;
}

export interface ContentReader extends AsyncIterable<Uint8Array> {
  /** Size in bytes of the whole content, not of the range. */
  readonly size: number;

  /**
   * Hands over each chunk in turn, instead of iterating. A chunk's memory is used again once `take` resolved, which
   * makes this the cheaper way for content that only passes through; the next one or two may come before. Rejects with
   * what `take` rejects with.
   */
  each(take: (chunk: Uint8Array) => Promise<void>): Promise<void>;
}

export interface ContentWriter extends AsyncDisposable {
  /** Bytes stored so far, durable or not. */
  readonly offset: number;

  /**
   * Appends. Resolves when it may be called again, which is the back-pressure, and when `chunk` is the caller's again,
   * who may use its memory for something else. The bytes may reach the disk later; a failure surfaces here or in
   * `commit` and `close`.
   */
  write(chunk: Uint8Array): Promise<void>;

  /** Reads back what was written so far, to rebuild a running hash after a restart. */
  read(): AsyncIterable<Uint8Array>;

  /** Makes the content durable and visible under its location, at once and whole. Closes the writer. */
  commit(): Promise<void>;

  /** Drops what was written. Closes the writer. */
  abort(): Promise<void>;

  /**
   * Makes what was written durable, for a later `writer(location)`. Also what `await using` does. `whole` says that the
   * caller expects a `commit` next and no more bytes, which some drivers keep better for; more bytes are still taken.
   */
  close(options?: { whole?: boolean }): Promise<void>;
}
