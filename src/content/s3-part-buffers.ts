import { Semaphore } from '#async/semaphore.ts';

/**
 * The memory that uploads to S3 share in a process: parts on their way are bounded in number and their buffers used
 * again; bytes that are not yet a part are counted, so that writers make smaller parts when it gets crowded.
 */
export class S3PartBuffers {
  /** The size of a part in quiet times, in bytes. */
  readonly partSize: number;
  readonly #slots: Semaphore;
  readonly #crowded: number;
  readonly #free: Buffer[] = [];
  #gathered = 0;

  constructor(options: { partSize: number; maxParts: number }) {
    this.partSize = options.partSize;
    this.#slots = new Semaphore(options.maxParts);
    this.#crowded = options.partSize * options.maxParts;
  }

  /** Bytes more, or less, that wait to become a part. */
  count(bytes: number): void {
    this.#gathered += bytes;
  }

  get crowded(): boolean {
    return this.#gathered > this.#crowded;
  }

  /** Waits for its turn, then joins what `take` gives and hands it to `send`. Resolves when that began. */
  async send(
    take: () => readonly Uint8Array[],
    send: (bytes: Uint8Array) => Promise<void>,
  ): Promise<{ sent: Promise<void> }> {
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const sent = this.#slots.run(async () => {
      const chunks = take();
      resolve();
      const buffer = this.#join(chunks);
      await send(buffer);
      // After a failure something may still hold on to it.
      if (buffer.buffer.byteLength === this.partSize) this.#free.push(Buffer.from(buffer.buffer));
    });
    await begun;
    return { sent };
  }

  #join(chunks: readonly Uint8Array[]): Buffer {
    const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const pooled = size === this.partSize ? this.#free.pop() : undefined;
    const buffer = pooled ?? Buffer.allocUnsafeSlow(size);
    let at = 0;
    for (const chunk of chunks) {
      buffer.set(chunk, at);
      at += chunk.length;
    }
    return buffer;
  }
}
