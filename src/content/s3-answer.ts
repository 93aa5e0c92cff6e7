import { BufferPool } from './buffer-pool.ts';
import { parseResponseHead, type ResponseHead } from './response-head.ts';

const buffers = new BufferPool({ size: 512 * 1024, limit: 32, smallSize: 64 * 1024 });
/** With less room than this the other buffer is the next one to be read into. */
const LEAST_ROOM = 64 * 1024;
const LONGEST_HEAD = 32 * 1024;

/** Bytes that are there, in the buffer where they were read. */
interface Segment {
  readonly buffer: Buffer;
  readonly start: number;
  end: number;
}

/**
 * One answer while it comes in. Whoever reads from the connection does that into `target`, tells `received` how much it
 * was, and goes on as long as that says so, or after `resume`. The body is in two buffers that are used in turns and
 * again by later answers; each chunk is good until the next one is asked for.
 */
export class S3Answer implements AsyncIterable<Uint8Array> {
  readonly head: Promise<ResponseHead>;
  readonly #head = Promise.withResolvers<ResponseHead>();
  readonly #headBuffer: Buffer;
  readonly #resume: () => void;
  readonly #ended: (reusable: boolean) => void;
  #text = '';
  /** Bytes that have not come yet; undefined before the head is there. */
  #left: number | undefined;
  /** Whether the server closes the connection after it. */
  #last = false;
  #buffers: Buffer[] = [];
  /** What is read into, and how much of it is taken. */
  #filling: Buffer;
  #filled = 0;
  #ready: Segment[] = [];
  /** The chunk that the consumer has. */
  #lent: Segment | undefined;
  #paused = false;
  #failure: Error | undefined;
  #canceled = false;
  #wake: (() => void) | undefined;

  /** `ended` is called once, with the last byte or when nothing more may be read: whether another answer can follow. */
  constructor(ports: { headBuffer: Buffer; resume: () => void; ended: (reusable: boolean) => void }) {
    this.#headBuffer = ports.headBuffer;
    this.#filling = ports.headBuffer;
    this.#resume = ports.resume;
    this.#ended = ports.ended;
    this.head = this.#head.promise;
    this.head.catch(() => {});
  }

  /** Where the next bytes belong. */
  get target(): Uint8Array {
    return this.#filled === 0 ? this.#filling : this.#filling.subarray(this.#filled);
  }

  /** Whether the consumer, not the sender, is waited for. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Takes in what was read into `target`. False: there is no room for more until `resume` is called. */
  received(size: number): boolean {
    if (this.#failure || this.#canceled) return false;
    if (this.#left === undefined) this.#takeHead(this.#headBuffer.subarray(0, size));
    else this.#takeBody(size);
    return !this.#paused;
  }

  /** Nothing more comes. What has come can still be read. */
  fail(error: Error): void {
    if (this.#failure || this.#canceled || this.#left === 0) return;
    this.#failure = error;
    this.#head.reject(error);
    this.#ended(false);
    this.#wakeUp();
  }

  /** Nobody reads on. */
  destroy(): void {
    if (this.#canceled) return;
    this.#canceled = true;
    if (this.#left !== 0 && !this.#failure) this.#ended(false);
    this.#head.reject(new Error('canceled'));
    this.#ready = [];
    for (const buffer of this.#buffers.splice(0)) buffers.give(buffer);
    this.#wakeUp();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.destroy();
        return { done: true, value: undefined };
      },
    };
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    this.#lent = undefined;
    this.#goOn();
    while (this.#ready.length === 0 && !this.#canceled) {
      if (this.#failure) throw this.#failure;
      if (this.#left === 0) {
        this.destroy();
        break;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#lent = this.#ready.shift();
    if (!this.#lent) return { done: true, value: undefined };
    const { buffer, start, end } = this.#lent;
    return { done: false, value: buffer.subarray(start, end) };
  }

  #takeHead(bytes: Buffer): void {
    const seen = Math.max(this.#text.length - 3, 0);
    this.#text += bytes.toString('latin1');
    const end = this.#text.indexOf('\r\n\r\n', seen);
    if (end === -1) {
      if (this.#text.length > LONGEST_HEAD) this.fail(new Error('an answer with too long a head'));
      return;
    }
    const head = parseResponseHead(this.#text.slice(0, end));
    if (head && head.status >= 200) this.#head.resolve(head);
    if (head?.length === undefined || head.status < 200) {
      this.fail(new Error('an answer of an unknown form'));
      return;
    }
    const rest = bytes.subarray(bytes.length - (this.#text.length - end - 4));
    this.#text = '';
    this.#left = head.length;
    this.#last = /\bclose\b/i.test(head.fields.get('connection') ?? '');
    if (head.length > 0) this.#fillNext();
    if (rest.length > 0) {
      if (rest.length <= this.#filling.length) this.#filling.set(rest);
      this.#takeBody(rest.length);
    } else if (head.length === 0) this.#complete();
  }

  #takeBody(size: number): void {
    if (size > this.#left!) {
      this.fail(new Error('more bytes than the answer has'));
      return;
    }
    const last = this.#ready.at(-1);
    const [start, end] = [this.#filled, this.#filled + size];
    if (last?.buffer === this.#filling && last.end === start) last.end = end;
    else this.#ready.push({ buffer: this.#filling, start, end });
    this.#filled = end;
    this.#left! -= size;
    if (this.#left === 0) this.#complete();
    else if (this.#filling.length - end < Math.min(LEAST_ROOM, this.#left!)) this.#fillNext();
    this.#wakeUp();
  }

  /** The last byte is there: what comes next on the connection is the head of another answer. */
  #complete(): void {
    this.#filling = this.#headBuffer;
    this.#filled = 0;
    this.#ended(!this.#last);
  }

  /** Reads into the other buffer from here on, once what is in it has been taken. */
  #fillNext(): void {
    const others = this.#buffers.filter((buffer) => buffer !== this.#filling);
    const next = others[0] ?? buffers.take(this.#left!);
    if (others.length === 0) this.#buffers.push(next);
    this.#filling = next;
    this.#filled = 0;
    this.#paused = this.#occupied(next);
  }

  #goOn(): void {
    if (!this.#paused || this.#failure || this.#occupied(this.#filling)) return;
    this.#paused = false;
    this.#resume();
  }

  #occupied(buffer: Buffer): boolean {
    return this.#lent?.buffer === buffer || this.#ready.some((segment) => segment.buffer === buffer);
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
