/** A stream's messages. To be read once: one after the other, or those together that have come. */
export interface Messages<T> extends AsyncIterable<T> {
  /** Where there are many, handing over each by itself costs more than what is in it. */
  batches(): AsyncIterable<readonly T[]>;
}

/** Messages of what `frames` brings. Those in front of one that cannot be read are not lost. */
export class DecodedMessages<T> implements Messages<T> {
  readonly #frames: AsyncIterable<readonly Buffer[]>;
  readonly #decode: (frame: Buffer) => T;

  constructor(frames: AsyncIterable<readonly Buffer[]>, decode: (frame: Buffer) => T) {
    this.#frames = frames;
    this.#decode = decode;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for await (const frames of this.#frames) for (const frame of frames) yield this.#decode(frame);
  }

  async *batches(): AsyncGenerator<readonly T[]> {
    for await (const frames of this.#frames) {
      const messages: T[] = [];
      try {
        for (const frame of frames) messages.push(this.#decode(frame));
      } catch (error) {
        yield messages;
        throw error;
      }
      yield messages;
    }
  }
}
