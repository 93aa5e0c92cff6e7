import { tooLarge } from '#errors/errors.ts';
import { BlockQueue } from './block-queue.ts';
import type { ContentWriter } from './content-store.ts';
import type { S3Ingest } from './s3-ingest.ts';
import { MAX_PARTS, MIN_PART, type S3Part } from './s3-multipart.ts';
import type { S3PartBuffers } from './s3-part-buffers.ts';

/** Parts of one upload on their way at once. */
const PARTS_AHEAD = 4;
/** After so many parts of a size the next ones are twice as large: 10,000 of 8 MiB at first come to 8 TiB. */
const PARTS_OF_A_SIZE = 1000;
/** So many tails are made one. */
const MAX_TAILS = 16;

/**
 * Sends parts while bytes come in. A part is cut when `MIN_PART` bytes more are there, so that what is left at the end
 * of a chunk of `MIN_PART` bytes or more is never too small for one; when many uploads gather at once, which is worth
 * more than that, as soon as it can be.
 */
export class S3ContentWriter implements ContentWriter {
  readonly #ingest: S3Ingest;
  readonly #buffers: S3PartBuffers;
  readonly #breakOff = new AbortController();
  /** What comes after the ingest's bytes and the parts on their way. */
  readonly #pending: BlockQueue;
  #offset: number;
  #onTheirWay: Promise<S3Part | undefined>[] = [];
  #sending = new Set<Promise<unknown>>();
  #failure: Error | undefined;
  #reported = false;
  #closed = false;

  constructor(options: { ingest: S3Ingest; buffers: S3PartBuffers }) {
    this.#ingest = options.ingest;
    this.#buffers = options.buffers;
    this.#pending = new BlockQueue(options.buffers.blocks);
    this.#offset = options.ingest.size;
  }

  get offset(): number {
    return this.#offset;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#throwFailure();
    this.#pending.add(chunk);
    this.#buffers.count(chunk.length);
    this.#offset += chunk.length;
    for (let size = this.#nextSize(); size !== undefined; size = this.#nextSize()) await this.#send(size);
  }

  async *read(): AsyncIterable<Uint8Array> {
    if (this.#ingest.small && this.#onTheirWay.length === 0) {
      await this.#takeTails();
      yield* this.#pending.chunks();
      return;
    }
    await this.#sendAll();
    await this.#ingest.unseal();
    yield* (await this.#ingest.readUnsealed()).body;
  }

  async commit(): Promise<void> {
    this.#closed = true;
    try {
      if (!this.#ingest.begun && this.#onTheirWay.length === 0) {
        await this.#ingest.putWhole(Buffer.concat([...this.#pending.chunks()]));
        return;
      }
      await this.#sendAll();
      await this.#ingest.complete();
    } finally {
      this.#forget();
    }
  }

  async abort(): Promise<void> {
    this.#closed = true;
    this.#forget();
    this.#breakOff.abort();
    await Promise.all(this.#onTheirWay);
    await this.#ingest.drop();
  }

  async close({ whole = false } = {}): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      if (this.#failure) await Promise.all(this.#onTheirWay);
      else if (this.#unsent >= MIN_PART || (whole && this.#unsent > 0)) await this.#sendAll();
      else await this.#keepTail();
      if (!this.#reported) this.#throwFailure();
      if (!this.#failure) await this.#ingest.removeOvertaken();
    } finally {
      this.#forget();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Bytes that are in no part. */
  get #unsent(): number {
    return this.#ingest.tailsSize + this.#pending.size;
  }

  /** Of a part that can be sent now; undefined when there is not enough for one. */
  #nextSize(): number | undefined {
    if (this.#buffers.crowded) return this.#unsent >= MIN_PART ? MIN_PART : undefined;
    const size = this.#buffers.partSize * 2 ** Math.floor((this.#nextPart - 1) / PARTS_OF_A_SIZE);
    return this.#unsent >= size + MIN_PART ? size : undefined;
  }

  get #nextPart(): number {
    return this.#ingest.parts + this.#onTheirWay.length + 1;
  }

  /** Begins to send the next `size` bytes as a part. */
  async #send(size: number): Promise<void> {
    // In this order: what was closed as whole, and is small, is a tail again once it is open.
    await this.#ready();
    await this.#takeTails();
    const number = this.#nextPart;
    if (number > MAX_PARTS) throw tooLarge('the upload has more bytes than an object may have');
    while (this.#sending.size >= PARTS_AHEAD) await Promise.race(this.#sending);
    this.#throwFailure();
    let part: S3Part | undefined;
    const { sent } = await this.#buffers.send({
      take: () => {
        this.#buffers.count(-size);
        return this.#pending.detach(size);
      },
      send: async (bytes) => {
        part = await this.#ingest.putPart(number, bytes, this.#breakOff.signal);
      },
    });
    const result = sent.then(
      () => part,
      (error: Error) => {
        this.#failure ??= error;
        return undefined;
      },
    );
    this.#onTheirWay.push(result);
    this.#sending.add(result);
    void result.then(() => this.#sending.delete(result));
  }

  async #ready(): Promise<void> {
    if (this.#onTheirWay.length > 0) return;
    try {
      await this.#ingest.begin();
      await this.#ingest.reopen();
    } catch (error) {
      this.#failure ??= error as Error;
      this.#throwFailure();
    }
  }

  /** Sends all there is, of any size, and waits for it. */
  async #sendAll(): Promise<void> {
    if (this.#unsent > 0) {
      await this.#ready();
      await this.#send(this.#unsent);
    }
    await this.#settle();
    await this.#ingest.removeOvertaken();
  }

  async #settle(): Promise<void> {
    const parts = await Promise.all(this.#onTheirWay);
    this.#throwFailure();
    this.#ingest.add(parts as S3Part[]);
    this.#onTheirWay = [];
  }

  /** Keeps the bytes that are too few for a part, for a writer that goes on. */
  async #keepTail(): Promise<void> {
    if (this.#pending.size === 0 && this.#onTheirWay.length === 0) return;
    await this.#settle();
    if (this.#pending.size === 0) return;
    const many = this.#ingest.tails >= MAX_TAILS;
    if (many) await this.#takeTails(false);
    await this.#ready();
    const bytes = Buffer.concat([...this.#pending.chunks()]);
    if (many) await this.#ingest.mergeTails(bytes);
    else await this.#ingest.putTail(bytes);
  }

  /** Takes the tails into memory, where the bytes after them are. */
  async #takeTails(forget = true): Promise<void> {
    if (this.#ingest.tails === 0) return;
    const tails = await this.#ingest.readTails();
    const size = this.#ingest.tailsSize;
    if (forget) this.#ingest.forgetTails();
    this.#pending.prepend(tails);
    this.#buffers.count(size);
  }

  #forget(): void {
    this.#buffers.count(-this.#pending.size);
    this.#pending.clear(this.#failure === undefined);
  }

  #throwFailure(): void {
    if (!this.#failure) return;
    this.#reported = true;
    throw this.#failure;
  }
}
