import { Worker } from 'node:worker_threads';
import { SlipwayError, unavailable } from '#errors/errors.ts';
import type { FromReceiver, ToReceiver } from './receive-messages.ts';
import type { Received, ReceiveOptions } from './tree-receiver.ts';

/** What a receiver has to say to its sender. */
export interface Replies {
  request(ids: readonly number[]): void;
  fin(): void;
  /** It is over: the sender may be waiting for something. */
  failed(error: Error): void;
}

/** So much is on its way to a thread at once. */
const MAX_UNTAKEN_BYTES = 1024 * 1024;
const BATCH_BYTES = 256 * 1024;

/** A thread, and who has it. */
interface Shared {
  readonly thread: Worker;
  /** Those that receive there now. */
  users: number;
  /** Somebody has it alone. */
  taken: boolean;
}

/** So many receive in one thread. */
const MAX_SHARING = 16;

/**
 * Keeps a few threads for the next directories: starting one takes tens of milliseconds, and memory. What is small, as a
 * Dockerfile and its like, shares one.
 */
export class ReceiveThreads implements AsyncDisposable {
  readonly #maxIdle: number;
  readonly #threads = new Set<Shared>();
  #nextId = 1;

  constructor(options: { maxIdle?: number } = {}) {
    this.#maxIdle = options.maxIdle ?? 2;
  }

  /**
   * Makes `root` as the packets say that go to the receiver. Dispose of it at the end, however that comes. `shared`: with
   * others beside it, whose memory is the same, so `limits` are to be small.
   */
  open(
    root: string,
    limits: ReceiveOptions,
    replies: Replies,
    { shared = false }: { shared?: boolean } = {},
  ): ThreadReceiver {
    const all = [...this.#threads];
    const found =
      (shared ? all.find(({ users, taken }) => users > 0 && users < MAX_SHARING && !taken) : undefined) ??
      all.find(({ users }) => users === 0) ??
      this.#begin();
    found.users++;
    found.taken = !shared;
    found.thread.ref();
    const release = async (reusable: boolean) => {
      found.users--;
      await this.#release(found, reusable);
    };
    return new ThreadReceiver(found.thread, { id: this.#nextId++, root, limits, replies, release });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const idle = [...this.#threads].filter(({ users }) => users === 0);
    await Promise.all(idle.map((shared) => this.#end(shared)));
  }

  #begin(): Shared {
    const url = new URL('./receive-thread.ts', import.meta.url);
    const shared = { thread: new Worker(url, { name: 'slipway-context' }), users: 0, taken: false };
    // Each of them listens for what concerns it.
    shared.thread.setMaxListeners(0);
    this.#threads.add(shared);
    return shared;
  }

  async #release(shared: Shared, reusable: boolean): Promise<void> {
    if (!reusable) this.#threads.delete(shared);
    if (shared.users > 0) return;
    const idle = [...this.#threads].filter(({ users }) => users === 0);
    if (!reusable || idle.length > this.#maxIdle) await this.#end(shared);
    else shared.thread.unref();
  }

  async #end(shared: Shared): Promise<void> {
    this.#threads.delete(shared);
    await shared.thread.terminate();
  }
}

interface Options {
  /** In its thread. */
  readonly id: number;
  readonly root: string;
  readonly limits: ReceiveOptions;
  readonly replies: Replies;
  readonly release: (reusable: boolean) => Promise<void>;
}

/** One directory's receiver, in a thread. */
export class ThreadReceiver implements AsyncDisposable {
  readonly #thread: Worker;
  readonly #options: Options;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  #flushing: NodeJS.Immediate | undefined;
  /** Sizes of the batches that the thread has. */
  readonly #untaken: number[] = [];
  #untakenBytes = 0;
  #received: Received | undefined;
  #failure: Error | undefined;
  #closed = false;
  #alive = true;
  #changed = Promise.withResolvers<void>();

  readonly #onMessage = (message: FromReceiver) => this.#hear(message);
  readonly #onError = (error: Error) =>
    this.#fail(unavailable(`the thread that receives files failed: ${error.message}`, { cause: error }));
  readonly #onExit = () => {
    this.#alive = false;
    this.#fail(unavailable('the thread that receives files has ended'));
  };

  constructor(thread: Worker, options: Options) {
    this.#thread = thread;
    this.#options = options;
    thread.on('message', this.#onMessage).on('error', this.#onError).on('exit', this.#onExit);
    this.#post({ id: options.id, kind: 'start', root: options.root, limits: options.limits });
  }

  /** Why it is over. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Throws why it is over, if it is. `packet` is copied, later. */
  push(packet: Uint8Array): void {
    if (this.#failure) throw this.#failure;
    this.#batch.push(packet);
    this.#batchBytes += 4 + packet.length;
    if (this.#batchBytes >= BATCH_BYTES) this.#flush();
    else this.#flushing ??= setImmediate(() => this.#flush());
  }

  /** No more is to be pushed until there is room. */
  get crowded(): boolean {
    return this.#untakenBytes > MAX_UNTAKEN_BYTES && !this.#failure;
  }

  async room(): Promise<void> {
    while (this.crowded) await this.#changed.promise;
  }

  /** Once all packets were pushed: what it came to; undefined if something is missing. */
  async received(): Promise<Received | undefined> {
    this.#flush();
    while (this.#untaken.length > 0 && !this.#failure) await this.#changed.promise;
    if (this.#failure) throw this.#failure;
    return this.#received;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearImmediate(this.#flushing);
    this.#batch = [];
    if (this.#alive) {
      this.#post({ id: this.#options.id, kind: 'close' });
      while (!this.#closed && this.#alive) await this.#changed.promise;
    }
    this.#thread.off('message', this.#onMessage).off('error', this.#onError).off('exit', this.#onExit);
    await this.#options.release(this.#alive);
  }

  #flush(): void {
    clearImmediate(this.#flushing);
    this.#flushing = undefined;
    if (this.#batchBytes === 0) return;
    const batch = new Uint8Array(this.#batchBytes);
    const view = new DataView(batch.buffer);
    let at = 0;
    for (const packet of this.#batch) {
      view.setUint32(at, packet.length, true);
      batch.set(packet, at + 4);
      at += 4 + packet.length;
    }
    this.#untaken.push(this.#batchBytes);
    this.#untakenBytes += this.#batchBytes;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#post({ id: this.#options.id, kind: 'packets', batch });
  }

  #hear(message: FromReceiver): void {
    if (message.id !== this.#options.id) return;
    if (message.kind === 'failed') {
      const { errorKind, message: text } = message;
      this.#fail(errorKind ? new SlipwayError(errorKind, text) : new Error(text));
      return;
    }
    if (message.kind === 'closed') this.#closed = true;
    else {
      this.#untakenBytes -= this.#untaken.shift() ?? 0;
      this.#received = message.received;
      this.#options.replies.request(message.requests);
      if (message.fin) this.#options.replies.fin();
    }
    this.#wake();
  }

  #fail(error: Error): void {
    if (!this.#failure) {
      this.#failure = error;
      this.#options.replies.failed(error);
    }
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #post(message: ToReceiver): void {
    this.#thread.postMessage(message, message.kind === 'packets' ? [message.batch.buffer] : []);
  }
}
