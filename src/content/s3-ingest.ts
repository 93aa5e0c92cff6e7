import { buffer } from 'node:stream/consumers';
import { isKind, unavailable } from '#errors/errors.ts';
import type { S3Bucket, S3Object } from './s3-bucket.ts';
import type { S3Keys } from './s3-keys.ts';
import { MAX_PART, MIN_PART, type S3Multipart, type S3Part } from './s3-multipart.ts';

interface Tail {
  readonly key: string;
  readonly offset: number;
  readonly size: number;
}

export interface S3Ports {
  readonly bucket: S3Bucket;
  readonly multipart: S3Multipart;
  readonly keys: S3Keys;
}

/**
 * What S3 holds of one write, and the steps from one such state to the next. Nothing of it is kept in memory between
 * two writers: S3 says what is there. The bytes of a write are, in this order,
 *
 * - the parts of a multipart upload, all of `MIN_PART` bytes or more except the last one of a write that was closed
 *   as whole;
 * - tails: objects with bytes that are too few for a part, left by writes that expect more.
 *
 * Parts cannot be read back, nor can anything follow a small one. When that is wanted all the same, because another
 * process goes on with what was closed as whole or has to hash what it did not write, the write is *unsealed*: its
 * upload is completed (`unsealing` says that this was no commit) and a second upload begun, into which the server
 * copies when more is to follow.
 */
export class S3Ingest {
  readonly #ports: S3Ports;
  readonly #location: string;
  readonly #key: string;
  #upload: string | undefined;
  #parts: S3Part[] = [];
  #tails: Tail[] = [];
  /** Everything in `ingest`, also what has been overtaken. */
  #left: string[] = [];
  /** Parts beyond a gap: cut off when several were on their way. Their numbers cannot be used as they are. */
  #gap = false;
  /** The size of what was completed in order to be read, which is there instead of parts. */
  #unsealed: number | undefined;
  #modifiedAt: Date | undefined;

  static async find(ports: S3Ports, location: string): Promise<S3Ingest> {
    const ingest = new S3Ingest(ports, location);
    const uploads = await ports.multipart.of(ingest.#key);
    if (uploads.length > 0) await ingest.#load(uploads.map(({ id }) => id));
    return ingest;
  }

  private constructor(ports: S3Ports, location: string) {
    this.#ports = ports;
    this.#location = location;
    this.#key = ports.keys.content(location);
  }

  /** Whether there is anything of this write in S3. */
  get begun(): boolean {
    return this.#upload !== undefined;
  }

  /** Bytes that S3 holds. */
  get size(): number {
    return this.#partsSize + this.tailsSize;
  }

  /** Of what comes before the tails. */
  get #partsSize(): number {
    return this.#unsealed ?? total(this.#parts);
  }

  get tailsSize(): number {
    return total(this.#tails);
  }

  get tails(): number {
    return this.#tails.length;
  }

  get parts(): number {
    return this.#parts.length;
  }

  /** When it grew last; undefined for nothing. */
  get modifiedAt(): Date | undefined {
    return this.#modifiedAt;
  }

  /** Whether the parts are such that others can follow. */
  get open(): boolean {
    const last = this.#parts.at(-1);
    return this.#unsealed === undefined && !this.#gap && (last === undefined || last.size >= MIN_PART);
  }

  /** Whether all bytes are in tails, which can be read as they are. */
  get small(): boolean {
    return this.#unsealed === undefined && this.#parts.length === 0;
  }

  /** Sends a part; `number`s are given out in the order of the bytes, beginning with `parts + 1`. */
  async putPart(number: number, bytes: readonly Uint8Array[], signal?: AbortSignal): Promise<S3Part> {
    return await this.#ports.multipart.upload(this.#key, this.#upload!, number, bytes, signal);
  }

  /** Counts parts that were sent, in order. */
  add(parts: readonly S3Part[]): void {
    this.#parts.push(...parts);
  }

  async begin(): Promise<void> {
    this.#upload ??= await this.#ports.multipart.begin(this.#key);
  }

  /** The whole content in one request; nothing of it was begun. */
  async putWhole(bytes: Uint8Array): Promise<void> {
    await this.#ports.bucket.put(this.#key, bytes);
  }

  /** Keeps bytes after everything else. */
  async putTail(bytes: Uint8Array): Promise<void> {
    await this.begin();
    const tail = {
      key: this.#ports.keys.tail(this.#location, this.size),
      offset: this.size,
      size: bytes.length,
    };
    await this.#ports.bucket.put(tail.key, bytes);
    this.#tails.push(tail);
    this.#left.push(tail.key);
  }

  /** One tail instead of many; `bytes` is what they hold. */
  async mergeTails(bytes: Uint8Array): Promise<void> {
    const [first, ...others] = this.#tails;
    await this.#ports.bucket.put(first!.key, bytes);
    this.#tails = [{ ...first!, size: bytes.length }];
    await this.#remove(others.map(({ key }) => key));
  }

  async readTails(): Promise<Uint8Array[]> {
    const bytes = await Promise.all(this.#tails.map(({ key }) => this.#read(key)));
    if (bytes.reduce((sum, { length }) => sum + length, 0) !== this.tailsSize)
      throw unavailable('an upload changed while it was read');
    return bytes;
  }

  /** The tails' bytes are in memory or in parts now. They stay in S3 until `removeTails`. */
  forgetTails(): void {
    this.#tails = [];
  }

  /** Removes the objects of tails whose bytes are in parts, or in other tails, by now. */
  async removeOvertaken(): Promise<void> {
    const current = this.#tails.map(({ key }) => key);
    if (this.#unsealed !== undefined) current.push(this.#ports.keys.unsealing(this.#location));
    await this.#remove(this.#left.filter((key) => !current.includes(key)));
  }

  /** Makes the parts readable, see `S3Ingest`. Returns the size of them all. */
  async unseal(): Promise<number> {
    if (this.#unsealed !== undefined) return this.#unsealed;
    const { bucket, multipart, keys } = this.#ports;
    const [old, size] = [this.#upload!, this.#partsSize];
    await bucket.put(keys.unsealing(this.#location), new Uint8Array(0));
    this.#upload = await multipart.begin(this.#key);
    await multipart.complete(this.#key, old, this.#parts);
    this.#left.push(keys.unsealing(this.#location));
    this.#parts = [];
    this.#gap = false;
    this.#unsealed = size;
    return size;
  }

  /** What was unsealed, or `undefined`. The caller reads or destroys it. */
  async readUnsealed() {
    return await this.#ports.bucket.get(this.#key);
  }

  /** Undoes `unseal`, so that more can follow. Does the unsealing too where it is needed. */
  async reopen(): Promise<void> {
    if (this.open) return;
    if (this.small) return await this.#beginAnew();
    const size = await this.unseal();
    const { bucket, multipart } = this.#ports;
    const parts: S3Part[] = [];
    for (const range of pieces(size))
      parts.push(await multipart.copy(this.#key, this.#upload!, parts.length + 1, range));
    const small = size < MIN_PART ? await this.#read(this.#key) : undefined;
    const marker = this.#ports.keys.unsealing(this.#location);
    this.#unsealed = undefined;
    this.#parts = parts;
    if (small && small.length > 0) await this.putTail(small);
    // In this order: as long as the marker is there the object counts, if there is one.
    await bucket.remove([this.#key]);
    await this.#remove([marker]);
  }

  /** All bytes are in parts, or unsealed: makes them the content. */
  async complete(): Promise<void> {
    const { bucket, multipart } = this.#ports;
    if (this.#unsealed !== undefined) {
      await this.#remove(this.#left);
      await multipart.abort(this.#key, this.#upload!);
    } else if (this.#parts.length === 0) {
      await bucket.put(this.#key, new Uint8Array(0));
      await this.#remove(this.#left);
      await multipart.abort(this.#key, this.#upload!);
    } else {
      await this.#remove(this.#left);
      await this.#completeParts();
    }
  }

  /** The write was never there. */
  async drop(): Promise<void> {
    const { bucket, multipart } = this.#ports;
    if (this.#upload === undefined) return;
    if (this.#unsealed !== undefined) await bucket.remove([this.#key]);
    await this.#remove(this.#left);
    await multipart.abort(this.#key, this.#upload);
    this.#upload = undefined;
  }

  /** Nothing but parts that cannot be used: an upload without them. */
  async #beginAnew(): Promise<void> {
    const old = this.#upload!;
    this.#upload = await this.#ports.multipart.begin(this.#key);
    this.#gap = false;
    await this.#ports.multipart.abort(this.#key, old);
  }

  /** An answer that got lost makes the second try find nothing to complete. */
  async #completeParts(): Promise<void> {
    const { bucket, multipart } = this.#ports;
    try {
      await multipart.complete(this.#key, this.#upload!, this.#parts);
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
      if ((await bucket.size(this.#key)) === this.#partsSize) return;
      throw unavailable('the upload is gone from the object store', { cause: error });
    }
  }

  async #load(ids: readonly string[]): Promise<void> {
    const { bucket, multipart, keys } = this.#ports;
    const [uploads, left] = await Promise.all([
      Promise.all(ids.map(async (id) => ({ id, parts: await multipart.parts(this.#key, id) }))),
      collect(bucket.list(keys.ingest(this.#location))),
    ]);
    const [found, ...others] = uploads
      .flatMap(({ id, parts }) => (parts ? [{ id, parts, ...unbroken(parts) }] : []))
      .sort((a, b) => b.size - a.size);
    if (!found) return;
    // More than one is what an unsealing left that did not get to its end.
    for (const { id } of others) await multipart.abort(this.#key, id);
    this.#upload = found.id;
    this.#parts = found.first;
    this.#gap = found.first.length < found.parts.length;
    this.#left = left.map(({ key }) => key);
    this.#modifiedAt = latest([...found.parts, ...left]);
    if (this.#left.includes(keys.unsealing(this.#location))) this.#unsealed = await bucket.size(this.#key);
    this.#tails = this.#following(left);
  }

  /** The tails that go on where the parts end. Others were overtaken by parts, or by a tail that holds more. */
  #following(objects: readonly S3Object[]): Tail[] {
    const tails: Tail[] = [];
    let position = this.#partsSize;
    for (const { key, size } of objects) {
      const offset = this.#ports.keys.tailOffset(key);
      if (offset !== position) continue;
      tails.push({ key, offset, size });
      position += size;
    }
    return tails;
  }

  async #read(key: string): Promise<Uint8Array> {
    const { body } = await this.#ports.bucket.get(key);
    return await buffer(body);
  }

  async #remove(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    await this.#ports.bucket.remove(keys);
    this.#left = this.#left.filter((key) => !keys.includes(key));
  }
}

/** The parts up to the first number that is missing. */
function unbroken(parts: readonly S3Part[]): { first: S3Part[]; size: number } {
  const gap = parts.findIndex((part, index) => part.number !== index + 1);
  const first = gap === -1 ? [...parts] : parts.slice(0, gap);
  return { first, size: total(first) };
}

/** Ranges of an object that each make a part; none for an object that is too small for one. */
function pieces(size: number): { start: number; end: number }[] {
  if (size < MIN_PART) return [];
  const count = Math.ceil(size / MAX_PART);
  const length = Math.ceil(size / count);
  return Array.from({ length: count }, (_, index) => ({
    start: index * length,
    end: Math.min((index + 1) * length, size) - 1,
  }));
}

function total(of: readonly { size: number }[]): number {
  return of.reduce((sum, { size }) => sum + size, 0);
}

function latest(of: readonly { modifiedAt: Date }[]): Date | undefined {
  return of.reduce<Date | undefined>(
    (last, { modifiedAt }) => (last === undefined || modifiedAt > last ? modifiedAt : last),
    undefined,
  );
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
